// Measures the client alone, without a service: `node bench.mjs`. Medians, in microseconds.

import { readFileSync } from "node:fs";

import { parsePolicy } from "./src/attest/policy.js";
import { fromBase64, toHex } from "./src/base/bytes.js";
import { parseObject } from "./src/base/json.js";
import { randomBytes, sha256 } from "./src/crypto/primitives.js";
import { verifyDocument } from "./src/documents/directory.js";
import { encodeContent, INFER } from "./src/seal/content.js";
import { parseEnvelope } from "./src/seal/envelope.js";
import { openRequest, sealReply, Session } from "./src/seal/exchange.js";
import { unpad } from "./src/seal/padding.js";
import { findSuite, keyId } from "./src/seal/suites.js";

const RUNS = Number(process.argv[2] ?? 200);
const SIZES = [["64 B", 64], ["16 KiB", 16 * 1024], ["600 kB", 600_000]];
const MODEL = { name: "m", version: "1", digest: "d1".repeat(32) };

/** The median time of a step, which is run a few times before. */
async function median(step, runs = RUNS) {
  const times = [];
  for (let run = -10; run < runs; run++) {
    const started = performance.now();
    await step();
    if (run >= 0) times.push(performance.now() - started);
  }
  return Math.round(1000 * times.sort((a, b) => a - b)[times.length >> 1]);
}

async function measureSuite(id) {
  const suite = findSuite(id);
  const seed = randomBytes(32);
  const publicKey = await suite.kem.publicKey(seed);
  const key = { kid: await keyId(suite, publicKey), suite, publicKey };
  const session = await Session.start(key);
  const found = { "new session": await median(() => Session.start(key), RUNS / 4) };
  for (const [name, size] of SIZES) {
    const content = encodeContent(INFER, new Uint8Array(2), randomBytes(Math.min(size, 65_536)), new Uint8Array(Math.max(0, size - 65_536)));
    const request = await session.seal(MODEL, content, 1);
    const reply = await sealReply(suite, await openRequest(suite, seed, request.envelope), content, toHex(randomBytes(16)));
    found[`seal ${name}`] = await median(() => session.seal(MODEL, content, 1));
    found[`open ${name}`] = await median(async () => unpad((await request.open(parseEnvelope(reply))).padded));
  }
  return found;
}

/** Evidence, collateral and directory of the history vectors: an SGX quote of a simulated platform. */
async function measureVerification() {
  const vectors = JSON.parse(readFileSync(new URL("../../tests/vectors/history.json", import.meta.url), "utf8"));
  const bytes = fromBase64(vectors.deployment);
  const { tee, deployment, keybroker, insecure_simulated_root } = parseObject(bytes, "the settings");
  const policy = parsePolicy({ tee, deployment, manifest_digest: toHex(await sha256(bytes)), keybroker, insecure_simulated_root });
  const document = fromBase64(vectors.directory_newest);
  const [{ at_ms: nowMs }] = vectors.log.slice(-1).map((line) => JSON.parse(Buffer.from(JSON.parse(line).entry, "base64").toString()));
  return { "verify evidence and directory": await median(() => verifyDocument(document, policy, nowMs), RUNS / 4) };
}

console.log(JSON.stringify({ node: process.version, "x-wing": await measureSuite(1), x25519: await measureSuite(2), ...(await measureVerification()) }, null, 1));
