/** Padding by Padmé (exchange.md, 4), in integers. */

import { allZero, concat, u32, view } from "../base/bytes.js";
import { MalformedError } from "../base/errors.js";

/** The padded length of `length` bytes, at least 2. @param {number} length */
export function padme(length) {
  const exponent = 31 - Math.clz32(length);
  const step = 2 ** (exponent - (32 - Math.clz32(exponent)));
  return step <= 1 ? length : Math.ceil(length / step) * step;
}

/** @param {Uint8Array} content */
export function pad(content) {
  const length = 4 + content.length;
  return concat(u32(content.length), content, new Uint8Array(padme(length) - length));
}

/** @param {Uint8Array} padded @returns {Uint8Array} */
export function unpad(padded) {
  const length = padded.length < 4 ? Infinity : 4 + view(padded).getUint32(0);
  if (length > padded.length || padme(length) !== padded.length || !allZero(padded.subarray(length))) {
    throw new MalformedError("the padding is wrong");
  }
  return padded.subarray(4, length);
}
