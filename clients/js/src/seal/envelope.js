/** Envelopes: the outside of a sealed message (envelope.md). */

import { concat, u16, u32, utf8, view } from "../base/bytes.js";
import { MalformedError } from "../base/errors.js";
import { boolean, digest, id, kid, name, nullable, readObject, string, time } from "../base/forms.js";
import { canonicalJson, parseObject } from "../base/json.js";

export const REQUEST = 1;
export const REPLY = 2;
export const REFUSAL = 3;
export const MAX_BODY_BYTES = 16 * 2 ** 20;
const MAGIC = utf8("SFL1");
const PREFIX = 16;
const MAX_HEADER = 4096;
const MAX_KEY_BLOB = 2048;

/** The closed list of refusals: another code is taken as `unavailable`, as a refusal is a hint only. */
export const REFUSAL_CODES = Object.freeze([
  "malformed", "too_large", "unknown_key", "unknown_model", "expired", "deadline_far", "replayed", "not_opened",
  "overloaded", "undeliverable", "unavailable",
]);

const SHAPES = {
  [REQUEST]: {
    required: { kid, sid: id, rid: id, model: name, version: name, model_digest: digest, deadline_ms: time },
    open: false,
  },
  [REPLY]: {
    required: {
      rid: id, kid, request_digest: digest, model_digest: digest, instance: id, nonce: digest, simulated: boolean,
    },
    open: true,
  },
  [REFUSAL]: { required: { code: string, rid: nullable(id) }, open: true },
};

/**
 * @typedef {object} Envelope
 * @property {number} kind
 * @property {number} suite
 * @property {Record<string, any>} header
 * @property {Uint8Array} start prefix and header, as sent
 * @property {Uint8Array} keyBlob
 * @property {Uint8Array} body
 */

/**
 * @param {number} kind
 * @param {number} suite
 * @param {object} header
 * @param {number} keyBlobLength
 * @param {number} bodyLength
 */
export function encodeStart(kind, suite, header, keyBlobLength, bodyLength) {
  const text = canonicalJson(header);
  const lengths = [u16(text.length), u16(keyBlobLength), u32(bodyLength)];
  return concat(MAGIC, Uint8Array.of(kind, 0), u16(suite), ...lengths, text);
}

/** A refusal that only a later release understands is one to try again later. @param {Uint8Array} text @param {1 | 2 | 3} kind */
function readHeader(text, kind) {
  const what = "the header";
  const value = parseObject(text, what);
  try {
    return readObject(value, what, SHAPES[kind]);
  } catch (error) {
    if (kind !== REFUSAL || !(error instanceof MalformedError) || error.code !== "critical") throw error;
    const { critical: _, ...rest } = value;
    return { ...readObject(Object.assign(Object.create(null), rest), what, SHAPES[kind]), code: "unavailable" };
  }
}

/**
 * @param {Uint8Array} bytes
 * @param {number} [maxBodyBytes]
 * @returns {Envelope}
 */
export function parseEnvelope(bytes, maxBodyBytes = MAX_BODY_BYTES) {
  if (bytes.length < PREFIX || MAGIC.some((byte, at) => bytes[at] !== byte)) {
    throw new MalformedError("not an envelope of this format");
  }
  const prefix = view(bytes);
  const kind = bytes[4];
  const [suite, headerLength, keyBlobLength] = [prefix.getUint16(6), prefix.getUint16(8), prefix.getUint16(10)];
  const bodyLength = prefix.getUint32(12);
  if (!(kind in SHAPES) || bytes[5] !== 0) throw new MalformedError("the envelope is of another format");
  if (headerLength > MAX_HEADER) throw new MalformedError("the header is too large");
  if (keyBlobLength > (kind === REQUEST ? MAX_KEY_BLOB : 0)) throw new MalformedError("the key blob is too large");
  if (bodyLength > maxBodyBytes) throw new MalformedError("the body is too large", "envelope_too_large");
  if (kind === REFUSAL && (suite !== 0 || bodyLength !== 0)) throw new MalformedError("a refusal has a suite or a body");
  const keyAt = PREFIX + headerLength;
  const bodyAt = keyAt + keyBlobLength;
  if (bodyAt + bodyLength !== bytes.length) throw new MalformedError("the envelope's lengths are wrong");
  const text = bytes.subarray(PREFIX, keyAt);
  const header = readHeader(text, /** @type {1 | 2 | 3} */ (kind));
  return {
    kind, suite, header,
    start: bytes.subarray(0, keyAt),
    keyBlob: bytes.subarray(keyAt, bodyAt),
    body: bytes.subarray(bodyAt),
  };
}

