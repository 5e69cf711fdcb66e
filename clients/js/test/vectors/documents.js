import assert from "node:assert/strict";

import { appraise } from "../../src/attest/appraise.js";
import { readEvidence } from "../../src/attest/evidence.js";
import { parsePolicy } from "../../src/attest/policy.js";
import { fromBase64, fromHex, utf8 } from "../../src/base/bytes.js";
import { under, VerificationError } from "../../src/base/errors.js";
import { parseObjectText } from "../../src/base/json.js";
import { verifyEd25519 } from "../../src/crypto/ed25519.js";
import { chooseKey, chooseModel, verifyDocument } from "../../src/documents/directory.js";
import { checkLinks, requirePinned, verifyLog } from "../../src/documents/log.js";
import { checkConsistency, readProof } from "../../src/documents/tree.js";
import { comparePin, encodePin, parsePin, pinOf } from "../../src/documents/pin.js";
import { readReceiptReply } from "../../src/documents/receipt.js";
import { parseContent } from "../../src/seal/content.js";
import { parsePolicyToml } from "../../src/toml.js";
import { caseFile, written } from "./cases.js";

const policyOf = ({ policy }) => parsePolicy(written(policy));
const sent = (value) => utf8(typeof value === "string" ? value : written(value));
const lines = ({ records }) => records.map(utf8);

export const evidence = caseFile(
  ["evidence", "policy", "now_ms", "nonce", "valid_until_ms"],
  async (each) => {
    const read = under("evidence", () => readEvidence(parseObjectText(written(each.evidence), "the evidence")));
    const approval = await appraise(read, policyOf(each), each.now_ms, { nonce: each.nonce });
    if ("valid_until_ms" in each) assert.equal(approval.validUntilMs, each.valid_until_ms);
  },
  "evidence",
);

async function accept(each) {
  const pin = "pin" in each ? parsePin(sent(each.pin)) : null;
  const { directory } = await verifyDocument(sent(each.document), policyOf(each), each.now_ms);
  comparePin(pin, directory);
  if (pin && pin.manifestDigest === directory.manifestDigest && directory.version > pin.version + 1) {
    const proof = pin.log && directory.log && readProof(sent(each.document));
    if (proof && proof.size === pin.log.size) await checkConsistency(pin.log, directory.log, proof.hashes);
    else await checkLinks(lines({ records: each.records ?? [] }), pin, directory, "simulated");
  }
  if ("keys" in each) assert.deepEqual(directory.keys.map(({ kid }) => kid), each.keys);
  if ("models" in each) assert.deepEqual(directory.models.map(({ name, version }) => `${name}:${version}`), each.models);
}

export const directory = caseFile(["document", "policy", "now_ms", "pin", "records", "keys", "models"], accept, "document");

export const lookup = caseFile(
  ["document", "policy", "now_ms", "later_ms", "ask", "kid", "model", "owners"],
  async (each) => {
    const policy = policyOf(each);
    const { directory: found } = await verifyDocument(sent(each.document), policy, each.now_ms);
    const now = each.later_ms ?? each.now_ms;
    const [name, version] = (each.ask ?? "").split(":");
    const pinned = parsePin(utf8(JSON.stringify({ ...JSON.parse(new TextDecoder().decode(encodePin(pinOf(found)))), owners: each.owners ?? {} })));
    const model = chooseModel(found, policy, name || null, version, pinOf(found, pinned).owners);
    if (now >= found.expiresMs) throw new VerificationError("directory_expired", "as the client's trust says");
    const key = chooseKey(found, now, policy.suites);
    if ("kid" in each) assert.equal(key.kid, each.kid);
    if ("model" in each) assert.equal(`${model.name}:${model.version}`, each.model);
  },
  "directory",
);

export const policies = caseFile(
  ["json", "toml"],
  (each) => void parsePolicy("toml" in each ? parsePolicyToml(each.toml) : written(each.json)),
  "config",
);

export const log = caseFile(
  ["policy", "records", "digests"],
  async (each) => {
    const entries = await verifyLog(lines(each), policyOf(each));
    if ("digests" in each) assert.deepEqual(entries.map(({ digest }) => digest), each.digests);
  },
  "log_chain",
);

export const logPins = caseFile(
  ["policy", "records", "pin"],
  async (each) => requirePinned(await verifyLog(lines(each), policyOf(each)), parsePin(sent(each.pin))),
  "pin",
);

export const receiptReplies = caseFile(
  ["domain", "exchange", "request", "salt", "reply"],
  async (each) => {
    const outer = parseContent(fromBase64(each.reply));
    const { rid, kid, model_digest, instance } = each.exchange;
    const exchange = { domain: each.domain, salt: each.salt, request: fromBase64(each.request), header: { rid, kid, model_digest }, instance };
    await readReceiptReply(outer, exchange);
  },
  "reply",
);

export const ed25519 = caseFile(
  ["public", "message", "signature"],
  async (each) => {
    const good = await verifyEd25519(fromHex(each.public), fromHex(each.signature), fromHex(each.message));
    if (!good) throw new VerificationError("signature", "it is not genuine");
  },
  "signature",
);
