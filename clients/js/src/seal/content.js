/** Content: what padding wraps (content.md, 1): kind, JSON and a binary part. */

import { concat, u32, view } from "../base/bytes.js";
import { MalformedError } from "../base/errors.js";
import { readObject, string } from "../base/forms.js";
import { parseObject } from "../base/json.js";

export const INFER = 1;
export const ERROR = 2;
export const RECEIPT = 3;
export const USAGE = 4;
export const MAX_JSON_BYTES = 4 * 2 ** 20;

/** @typedef {{kind: number, json: Uint8Array, binary: Uint8Array}} Content */

/** @param {number} kind @param {Uint8Array} json @param {...Uint8Array} binary */
export const encodeContent = (kind, json, ...binary) =>
  concat(Uint8Array.of(kind), u32(json.length), json, ...binary);

/** @param {Uint8Array} bytes @returns {Content} */
export function parseContent(bytes) {
  if (bytes.length < 5) throw new MalformedError("the content is too short");
  const kind = bytes[0];
  const length = view(bytes).getUint32(1);
  if (kind < INFER || kind > USAGE) throw new MalformedError("the content is of an unknown kind");
  if (length > MAX_JSON_BYTES || length > bytes.length - 5) throw new MalformedError("the content's JSON is too long");
  return { kind, json: bytes.subarray(5, 5 + length), binary: bytes.subarray(5 + length) };
}

/** Read a sealed error, with its code as sent. @param {Content} content */
export function parseError(content) {
  const what = "the sealed error";
  const { code, message } = /** @type {{code: string, message: string}} */ (readObject(parseObject(content.json, what), what, {
    required: { code: string, message: string },
    open: true,
  }));
  return { code, message };
}
