/** Bytes and their spellings: concatenation, integers, hex, base64, UTF-8. */

import { MalformedError } from "./errors.js";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * @param {...Uint8Array} parts
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/**
 * Compare in a time that depends on the length alone.
 * @param {Uint8Array} a
 * @param {Uint8Array} b
 */
export function equal(a, b) {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let at = 0; at < a.length; at++) difference |= a[at] ^ b[at];
  return difference === 0;
}

/** @param {Uint8Array} bytes */
export const allZero = (bytes) => bytes.every((byte) => byte === 0);

/** @param {string} text @returns {Uint8Array<ArrayBuffer>} */
export const utf8 = (text) => /** @type {Uint8Array<ArrayBuffer>} */ (encoder.encode(text));

/**
 * @param {Uint8Array} bytes
 * @param {string} what
 */
export function fromUtf8(bytes, what) {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new MalformedError(`${what} is not UTF-8`);
  }
}

/** @param {number} value @returns {Uint8Array<ArrayBuffer>} 2 bytes, big-endian */
export const u16 = (value) => Uint8Array.of(value >>> 8, value & 255);

/** @param {number} value @returns {Uint8Array<ArrayBuffer>} 4 bytes, big-endian */
export const u32 = (value) =>
  Uint8Array.of(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);

/** LP(x): the length in 4 bytes, then the bytes. @param {Uint8Array} bytes */
export const lengthPrefixed = (bytes) => concat(u32(bytes.length), bytes);

/** @param {Uint8Array} bytes */
export const view = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** @param {Uint8Array} bytes */
export function toHex(bytes) {
  let text = "";
  for (const byte of bytes) text += HEX[byte];
  return text;
}

/**
 * Read lower-case hex.
 * @param {string} text
 * @param {string} [what]
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function fromHex(text, what = "a value") {
  if (text.length % 2 || !/^[0-9a-f]*$/.test(text)) throw new MalformedError(`${what} is not lower-case hex`);
  const bytes = new Uint8Array(text.length / 2);
  for (let at = 0; at < bytes.length; at++) bytes[at] = parseInt(text.slice(2 * at, 2 * at + 2), 16);
  return bytes;
}

/** @param {Uint8Array} bytes */
export function toBase64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  }
  return btoa(text);
}

/**
 * Read base64 with padding, in its one spelling.
 * @param {string} text
 * @param {string} [what]
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function fromBase64(text, what = "a value") {
  if (text.length % 4 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) {
    throw new MalformedError(`${what} is not base64`);
  }
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = binary.charCodeAt(at);
  if (toBase64(bytes.subarray(bytes.length - (bytes.length % 3 || 3))) !== text.slice(-4) && text) {
    throw new MalformedError(`${what} has another spelling in base64`);
  }
  return bytes;
}
