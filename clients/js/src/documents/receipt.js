/** Receipts: asking, comparing, keeping (receipt.md). */

import { concat, fromHex, toBase64, toHex } from "../base/bytes.js";
import { MalformedError, under, VerificationError } from "../base/errors.js";
import { base64, base64AtMost, digest, FORMAT, id, kid, name, readObject, time } from "../base/forms.js";
import { canonicalJson, canonicalText, parseObject } from "../base/json.js";
import { verifyEd25519 } from "../crypto/ed25519.js";
import { randomBytes, sha256 } from "../crypto/primitives.js";
import { encodeContent, parseContent, RECEIPT } from "../seal/content.js";
import { label } from "../seal/suites.js";

const MAX_RECEIPT = 4096;

/**
 * A receipt that fits the exchange. Whose key signed it is checked with the log, by `sealflow receipt verify`.
 * @typedef {object} Receipt
 * @property {Record<string, any>} content what the worker signed
 * @property {string} line the kept receipt: one line, with request and reply
 */

/** @typedef {import("../seal/suites.js").TrustDomain} TrustDomain */

/** @param {Uint8Array} content of the request without a receipt */
export function askForReceipt(content) {
  const salt = toHex(randomBytes(32));
  return { salt, content: encodeContent(RECEIPT, canonicalJson({ salt }), content) };
}

/** @param {TrustDomain} domain @param {"receipt request" | "receipt reply"} purpose @param {string} salt @param {Uint8Array} content */
export const receiptDigest = async (domain, purpose, salt, content) =>
  toHex(await sha256(label(domain, purpose), fromHex(salt), content));

/** @param {Uint8Array} bytes */
export function parseReceipt(bytes) {
  if (bytes.length > MAX_RECEIPT) throw new MalformedError("the receipt is too large");
  return readObject(parseObject(bytes, "the receipt"), "the receipt", {
    required: {
      deployment: name, manifest_digest: digest, instance: id, kid, rid: id, model: name, version: name, model_digest: digest,
      request_digest: digest, reply_digest: digest, at_ms: time,
    },
    open: true,
    format: "required",
  });
}

/**
 * Read the reply to a request that asked for a receipt.
 * @param {import("../seal/content.js").Content} outer
 * @param {{domain: TrustDomain, salt: string, request: Uint8Array, header: Record<string, any>, instance: string}} exchange
 * @returns {Promise<{content: import("../seal/content.js").Content, receipt: Receipt}>}
 */
export async function readReceiptReply(outer, exchange) {
  if (outer.kind !== RECEIPT) throw new VerificationError("receipt_missing", "the worker gave no receipt");
  const { receipt: bytes, signature, signing_key: key } = under("reply", () =>
    readObject(parseObject(outer.json, "the reply"), "the reply", {
      required: { receipt: base64(), signature: base64AtMost(64) }, optional: { signing_key: base64(32) }, open: true,
    }),
  );
  if (key !== undefined && !(await verifyEd25519(key, signature, concat(label(exchange.domain, "receipt"), bytes)))) {
    throw new VerificationError("receipt_signature", "the worker did not sign the receipt");
  }
  const content = under("reply", () => parseContent(outer.binary));
  if (content.kind === RECEIPT) throw new VerificationError("reply", "the reply holds a receipt within another");
  const receipt = under("receipt_content", () => parseReceipt(bytes));
  const { domain, salt, request, header } = exchange;
  const expected = {
    instance: exchange.instance, kid: header.kid, rid: header.rid, model_digest: header.model_digest,
    request_digest: await receiptDigest(domain, "receipt request", salt, request),
    reply_digest: await receiptDigest(domain, "receipt reply", salt, outer.binary),
  };
  const wrong = Object.entries(expected).filter(([key, value]) => receipt[key] !== value).map(([key]) => key);
  if (wrong.length) throw new VerificationError("receipt_content", `the receipt is about another exchange: ${wrong.join(", ")}`);
  const line = canonicalText({
    format: FORMAT, receipt: toBase64(bytes), signature: toBase64(signature), salt, request: toBase64(request), reply: toBase64(outer.binary),
  });
  return { content, receipt: { content: receipt, line } };
}

/**
 * Read a kept receipt, and compare its two digests.
 * @param {Uint8Array} line
 * @param {TrustDomain} domain
 */
export async function parseKeptReceipt(line, domain) {
  const kept = readObject(parseObject(line, "the kept receipt"), "the kept receipt", {
    required: { receipt: base64(), signature: base64(64), salt: digest, request: base64(), reply: base64() },
    open: true,
    format: "required",
  });
  const receipt = parseReceipt(kept.receipt);
  const fits =
    receipt.request_digest === (await receiptDigest(domain, "receipt request", kept.salt, kept.request)) &&
    receipt.reply_digest === (await receiptDigest(domain, "receipt reply", kept.salt, kept.reply));
  if (!fits) throw new VerificationError("receipt_content", "the receipt is about another request or reply");
  return { receipt, bytes: kept.receipt, signature: kept.signature };
}
