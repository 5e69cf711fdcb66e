/** The client against a gateway and a worker that live in this process, and answer as each case says. */

import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { concat, toHex, utf8 } from "../src/base/bytes.js";
import { parsePolicy } from "../src/attest/policy.js";
import { Client } from "../src/client/client.js";
import { Gateway } from "../src/client/gateway.js";
import { waitFor } from "../src/client/signals.js";
import { randomBytes } from "../src/crypto/primitives.js";
import { canonicalJson } from "../src/base/json.js";
import { receiptDigest } from "../src/documents/receipt.js";
import { encodeContent, ERROR, INFER, parseContent, RECEIPT } from "../src/seal/content.js";
import { encodeStart, REFUSAL } from "../src/seal/envelope.js";
import { openRequest, sealReply } from "../src/seal/exchange.js";
import { findSuite, keyId } from "../src/seal/suites.js";
import { encodeResponse, parseRequest } from "../src/tensors/messages.js";
import { Tensor } from "../src/tensors/tensor.js";
import { refused } from "./vectors/refusing.js";

const SUITE = findSuite(0xf002);
const SEED = randomBytes(32);
const PUBLIC = await SUITE.kem.publicKey(SEED);
const KID = await keyId(SUITE, PUBLIC);
const INSTANCE = "1e".repeat(16);
const MODEL = {
  name: "m", version: "1", digest: "d1".repeat(32), owner: new Uint8Array(32), workers: null, default: true, image: null,
  inputs: [{ name: "x", datatype: "FP32", shape: [-1, 2] }], outputs: [{ name: "y", datatype: "FP32", shape: [-1, 2] }],
};
const POLICY = {
  tee: "simulated", deployment: "d", manifest_digest: "cd".repeat(32), insecure_simulated_root: "AAAA",
  keybroker: { measurements: ["11".repeat(32)] },
};
const INPUT = { x: [[1, 2]] };

beforeEach(() => {
  mock.restoreAll();
  mock.method(Math, "random", () => 0); // no pauses
});

/** What a verified directory would be. */
function directory(changes = {}) {
  const key = { kid: KID, suite: SUITE, publicKey: PUBLIC, notBeforeMs: 0, retireMs: Number.MAX_SAFE_INTEGER, destroyMs: Number.MAX_SAFE_INTEGER };
  return { deployment: "d", manifestDigest: "cd".repeat(32), issuedMs: 0, expiresMs: Number.MAX_SAFE_INTEGER, revoked: [], models: [MODEL], keys: [key], ...changes };
}

const answered = (body, { status = 200, type = "application/vnd.sealflow.envelope", headers = {} } = {}) =>
  new Response(body, { status, headers: { "content-type": type, ...headers } });

const refusal = (code, rid, more = {}) => encodeStart(REFUSAL, 0, { code, rid, ...more }, 0, 0);
const output = (name = "y", array = Float32Array.of(1, 2)) => Tensor.fromArray(name, array, [1, array.length]);

function content(response = {}) {
  const { json, binary } = encodeResponse({ modelName: "m", modelVersion: "1", outputs: [output()], id: null, ...response });
  return encodeContent(INFER, json, ...binary);
}

/** Answers in turn: functions of the opened request; the last one stays. */
function service(answers, { policy = POLICY, found = directory() } = {}) {
  const seen = { requests: [], refreshes: 0 };
  const fetch = async (url, { body, signal }) => {
    const request = await openRequest(SUITE, SEED, new Uint8Array(await body.arrayBuffer()));
    seen.requests.push({ ...request, url: String(url) });
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    return waitFor(answer(request), signal);
  };
  const verified = { directory: found };
  const trust = {
    current: verified, policy: parsePolicy(policy), now: Date.now,
    fresh: async () => verified,
    refresh: async () => (seen.refreshes++, verified),
  };
  return { seen, client: new Client(trust, new Gateway("http://gateway.test", fetch)) };
}

const reply = (bytes = content()) => async (request) => answered(await sealReply(SUITE, request, bytes, INSTANCE));
const refuse = (code, options) => async ({ header }) => answered(refusal(code, header.rid), options);

test("a reply is read", async () => {
  const { client, seen } = service([reply()]);
  const result = await client.infer("m", INPUT);
  assert.deepEqual(result.outputs.y.elements(), [1, 2]);
  assert.deepEqual([result.instance, result.simulated, result.receipt], [INSTANCE, true, null]);
  assert.equal(seen.requests[0].header.model_digest, MODEL.digest);
  assert.match(seen.requests[0].url, /^http:\/\/gateway\.test\/v1\/envelopes\?wait=(29|30)$/);
  await client.infer(null, INPUT);
  assert.equal(seen.requests[0].header.sid, seen.requests[1].header.sid);
  assert.notEqual(seen.requests[0].header.rid, seen.requests[1].header.rid);
});

test("batches are shared only if policy and caller say so", async () => {
  const { client, seen } = service([reply()]);
  await refused(() => client.infer("m", INPUT, { shareBatch: true }), "config");
  assert.equal(seen.requests.length, 0);
  const { client: sharing, seen: sent } = service([reply()], { policy: { ...POLICY, share_batch: true } });
  await sharing.infer("m", INPUT, { shareBatch: true });
  await sharing.infer("m", INPUT);
  const asked = sent.requests.map(({ content: { json, binary } }) => parseRequest(json, binary).shareBatch);
  assert.deepEqual(asked, [true, false]);
});

test("a tenant's token lies inside of the seal, and what workers say of it reaches the caller", async () => {
  const { client, seen } = service([reply()]);
  await client.infer("m", INPUT, { tenantToken: "a.b" });
  await client.infer("m", INPUT);
  const asked = seen.requests.map(({ content: { json } }) => JSON.parse(new TextDecoder().decode(json)).parameters);
  assert.deepEqual(asked, [{ tenant_token: "a.b" }, undefined]);
});

test("an empty tensor is not sent", async () => {
  const { client, seen } = service([reply()]);
  await refused(() => client.infer("m", { x: new Tensor("x", "FP32", [0, 2], new Uint8Array(0)) }), "config");
  assert.equal(seen.requests.length, 0);
});

test("refusals that are worth another attempt", async () => {
  for (const [code, times, refreshes] of [["unknown_key", 3, 3], ["unknown_model", 2, 2], ["expired", 1, 1], ["replayed", 1, 1], ["not_opened", 1, 1], ["overloaded", 12, 0], ["unavailable", 12, 0], ["because", 12, 0]]) {
    const { client, seen } = service([...Array(times).fill(refuse(code)), reply()]);
    await client.infer("m", INPUT);
    assert.deepEqual([code, seen.requests.length, seen.refreshes], [code, times + 1, refreshes]);
    assert.equal(new Set(seen.requests.map(({ header }) => header.rid)).size, times + 1);
  }
});

test("refusals that end a request", async () => {
  for (const [code, attempts, raised] of [["malformed", 1, "malformed"], ["too_large", 1, "too_large"], ["undeliverable", 1, "undeliverable"], ["expired", 2, "deadline"], ["replayed", 2, "replayed"], ["not_opened", 2, "not_opened"], ["unknown_key", 8, "unknown_key"]]) {
    const { client, seen } = service([refuse(code)]);
    await refused(() => client.infer("m", INPUT), raised);
    assert.deepEqual([code, seen.requests.length], [code, attempts]);
  }
});

test("what is no answer is tried again, a bounded number of times", async () => {
  const others = [
    async () => answered(new Uint8Array(3)),
    async () => answered(refusal("malformed", "00".repeat(16))),
    async (request) => answered(await sealReply(SUITE, { ...request, secret: randomBytes(32) }, content(), INSTANCE)),
    async (request) => answered(await sealReply(SUITE, { ...request, header: { ...request.header, model_digest: "00".repeat(32) } }, content(), INSTANCE)),
    async (request) => answered(await sealReply(SUITE, { ...request, requestDigest: new Uint8Array(32) }, content(), INSTANCE)),
    async (request) => answered(await sealReply(findSuite(2), request, content(), INSTANCE)),
  ];
  for (const other of others) {
    const { client, seen } = service([other, reply()]);
    await client.infer("m", INPUT);
    assert.equal(seen.requests.length, 2);
    const { client: never, seen: all } = service([other]);
    await refused(() => never.infer("m", INPUT), "unavailable");
    assert.equal(all.requests.length, 8);
  }
});

test("a refusal with a critical key, and problems of the gateway, are taken as unavailable", async () => {
  for (const answer of [
    async ({ header }) => answered(refusal("malformed", header.rid, { critical: ["new"], new: 1 })),
    async () => answered('{"error":"x"}', { status: 415, type: "application/json" }),
    async () => answered("", { status: 500, type: "text/plain" }),
    async () => {
      throw new TypeError("fetch failed");
    },
  ]) {
    const { client, seen } = service([answer, reply()]);
    await client.infer("m", INPUT);
    assert.equal(seen.requests.length, 2);
  }
});

test("all attempts end within the time-out, and retry-after is respected", async () => {
  const { client, seen } = service([refuse("overloaded", { headers: { "retry-after": "30" } })]);
  await refused(() => client.infer("m", INPUT, { timeoutMs: 500 }), "queue_full");
  assert.equal(seen.requests.length, 1);
  const { client: late } = service([() => new Promise(() => {})]);
  await refused(() => late.infer("m", INPUT, { timeoutMs: 50 }), "deadline");
  const { client: slow } = service([() => new Promise(() => {})]);
  const stop = new AbortController();
  setTimeout(() => stop.abort(new Error("enough")), 20);
  await assert.rejects(slow.infer("m", INPUT, { signal: stop.signal }), /enough/);
});

test("a genuine reply is final, also one that is wrong inside", async () => {
  const wrong = {
    "another model": content({ modelName: "n" }), "another output": content({ outputs: [output("z")] }), "no output": content({ outputs: [] }),
    "an id": content({ id: "1" }), "not JSON": encodeContent(INFER, utf8("{")), "kind 9": encodeContent(9, utf8("{}")),
    "a receipt": encodeContent(RECEIPT, canonicalJson({ receipt: "", signature: "" }), content()), "too short": new Uint8Array(2),
  };
  for (const [name, bytes] of Object.entries(wrong)) {
    const { client, seen } = service([reply(bytes)]);
    if (name === "an id") await client.infer("m", INPUT);
    else await refused(() => client.infer("m", INPUT), "reply");
    assert.equal(seen.requests.length, 1, name);
  }
  const { client } = service([reply(encodeContent(ERROR, canonicalJson({ code: "invalid_input", message: "no", hint: 1 })))]);
  await refused(() => client.infer("m", INPUT), "invalid_input");
  const { client: later } = service([reply(encodeContent(ERROR, canonicalJson({ code: "new_code", message: "no" })))]);
  await refused(() => later.infer("m", INPUT), "model_failed");
});

test("a revoked worker, a package that the policy does not list, a model that is not served", async () => {
  const { client } = service([reply()], { found: directory({ revoked: [{ kind: "worker", id: INSTANCE }, { kind: "later", id: "x" }] }) });
  await refused(() => client.infer("m", INPUT), "worker_revoked");
  const { client: other, seen } = service([reply()], { policy: { ...POLICY, models: { n: ["00".repeat(32)] } } });
  await refused(() => other.infer("m", INPUT), ["model"]);
  assert.equal(seen.requests.length, 0);
  await refused(() => other.infer("n", INPUT), "invalid_input");
  assert.equal(seen.refreshes, 1);
  const { client: shut } = service([reply()], { found: directory({ keys: [] }) });
  await refused(() => shut.infer("m", INPUT), "directory_no_key");
});

/** A reply with a receipt, after `change`. */
const receipted = (change = (each) => each) => async (request) => {
  const inner = request.content.binary;
  const { salt } = JSON.parse(new TextDecoder().decode(request.content.json));
  const bytes = content();
  const { kid, rid, model, version, model_digest } = request.header;
  const receipt = {
    format: 1, deployment: "d", manifest_digest: "cd".repeat(32), instance: INSTANCE, kid, rid, model, version, model_digest, at_ms: 1,
    request_digest: await receiptDigest("simulated", "receipt request", salt, inner),
    reply_digest: await receiptDigest("simulated", "receipt reply", salt, bytes),
  };
  const encoded = Buffer.from(canonicalJson(change(receipt))).toString("base64");
  const json = canonicalJson({ receipt: encoded, signature: Buffer.alloc(64).toString("base64") });
  return answered(await sealReply(SUITE, request, encodeContent(RECEIPT, json, bytes), INSTANCE));
};

test("receipts are compared with the exchange", async () => {
  const ask = { receipt: true };
  const { client, seen } = service([receipted()]);
  const { receipt } = await client.infer("m", INPUT, ask);
  assert.equal(receipt.content.rid, seen.requests[0].header.rid);
  assert.equal(parseContent(Buffer.from(JSON.parse(receipt.line).request, "base64")).kind, INFER);
  for (const key of ["instance", "kid", "rid", "model_digest", "request_digest", "reply_digest"]) {
    const other = { kid: `sim-${"00".repeat(32)}`, instance: "00".repeat(16), rid: "00".repeat(16) }[key] ?? "00".repeat(32);
    const { client: wrong } = service([receipted((each) => ({ ...each, [key]: other }))]);
    await refused(() => wrong.infer("m", INPUT, ask), "receipt_content");
  }
  const { client: newer } = service([receipted((each) => ({ ...each, format: 2 }))]);
  await refused(() => newer.infer("m", INPUT, ask), "format");
  const { client: without } = service([reply()]);
  await refused(() => without.infer("m", INPUT, ask), "receipt_missing");
});

test("a closed client does nothing", async () => {
  const { client } = service([reply()]);
  client.close();
  await refused(() => client.infer("m", INPUT), "config");
  await refused(() => client.verify(), "config");
  assert.throws(() => client.trust);
  assert.equal(toHex(concat()), "");
});
