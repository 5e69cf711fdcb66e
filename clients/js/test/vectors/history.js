import assert from "node:assert/strict";

import { readDemands, parsePolicy } from "../../src/attest/policy.js";
import { concat, fromBase64, toHex, utf8 } from "../../src/base/bytes.js";
import { parseObject } from "../../src/base/json.js";
import { verifyEd25519 } from "../../src/crypto/ed25519.js";
import { sha256 } from "../../src/crypto/primitives.js";
import { verifyDocument } from "../../src/documents/directory.js";
import { checkLinks, verifyLog } from "../../src/documents/log.js";
import { comparePin, encodePin, parsePin, pinOf } from "../../src/documents/pin.js";
import { parseKeptReceipt } from "../../src/documents/receipt.js";
import { label } from "../../src/seal/suites.js";
import { refused } from "./refusing.js";

/** When the history was made. */
const NOW_MS = 1750000001000;

/** The policy that the deployment's settings are: their own demands, under their own root. */
async function policyOf(whole) {
  const bytes = fromBase64(whole.deployment);
  const settings = parseObject(bytes, "the settings");
  const policy = parsePolicy(
    JSON.stringify({
      tee: settings.tee, deployment: settings.deployment, manifest_digest: toHex(await sha256(bytes)),
      keybroker: settings.keybroker, worker: settings.worker, insecure_simulated_root: settings.insecure_simulated_root,
    }),
  );
  assert.ok(readDemands(settings.worker, "worker"));
  return policy;
}

const document = async (whole, name) => verifyDocument(fromBase64(whole[name]), await policyOf(whole), NOW_MS);
const lines = (records) => records.map(utf8);

/** Compare a kept receipt, and its signature with the key of the log's grant. */
async function judgeReceipt(whole, line) {
  const { receipt, bytes, signature } = await parseKeptReceipt(utf8(line), "simulated");
  const entries = await verifyLog(lines(whole.log), await policyOf(whole));
  const grant = entries.find((each) => each.kind === "grant" && each.body.instance === receipt.instance);
  const key = Uint8Array.from(grant.body.signing_key.match(/../g), (each) => parseInt(each, 16));
  return verifyEd25519(key, signature, concat(label("simulated", "receipt"), bytes));
}

export const history = {
  deployment: "context", log_digests: "context",
  log: (records, whole) => [
    ["verifies", async () => {
      const entries = await verifyLog(lines(records), await policyOf(whole));
      assert.deepEqual(entries.map((each) => each.digest), whole.log_digests);
    }],
  ],
  directory_pinned: (_, whole) => [["verifies", async () => void (await document(whole, "directory_pinned"))]],
  directory_newest: (_, whole) => [
    ["verifies", async () => void (await document(whole, "directory_newest"))],
    ["continues the pinned one", async () => {
      const { directory: first } = await document(whole, "directory_pinned");
      const { directory: newest } = await document(whole, "directory_newest");
      const pin = parsePin(encodePin(pinOf(first)));
      comparePin(pin, newest);
      const from = lines(whole.log).slice(pin.logNumber + 1);
      await checkLinks(from, pin, newest, "simulated");
      await refused(() => checkLinks(from.slice(0, 2), pin, newest, "simulated"), "directory_unlinked");
      await refused(() => checkLinks([from[0], from[2], ...from.slice(3)], { ...pin, logDigest: "00".repeat(32) }, newest, "simulated"), "directory_fork");
      await refused(async () => comparePin(pinOf(newest), first), "directory_rollback");
    }],
  ],
  receipt: (line, whole) => [["is genuine", async () => assert.ok(await judgeReceipt(whole, line))]],
  malformed_receipts: (cases, whole) =>
    Object.entries(cases).map(([name, line]) => [name, () => refused(() => judgeReceipt(whole, line), "malformed")]),
  reject_logs: (cases, whole) =>
    Object.entries(cases).map(([code, records]) => [code, async () => {
      const policy = await policyOf(whole);
      await refused(() => verifyLog(lines(records), policy), code);
    }]),
  reject_receipts: (cases, whole) =>
    Object.entries(cases).map(([code, line]) => [code, async () => {
      if (code === "receipt_signature") assert.equal(await judgeReceipt(whole, line), false);
      else await refused(() => judgeReceipt(whole, line), code);
    }]),
};
