/**
 * Ed25519 signatures (RFC 8032), the strict and cofactorless kind: A and R are canonical, S is below the order,
 * and A is not of small order. WebCrypto checks the equation; what libraries differ in is checked here.
 */

import { fromHex } from "../base/bytes.js";
import { plain } from "./primitives.js";

const { subtle } = globalThis.crypto;
const P = (1n << 255n) - 19n;
const L = (1n << 252n) + 27742317777372353535851937790883648493n;

/** The y of the points of order 1, 2, 4 and 8, little-endian. */
const SMALL_ORDER = new Set(
  [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  ].map((each) => littleEndian(fromHex(each))),
);

/** @param {Uint8Array} bytes */
function littleEndian(bytes) {
  let value = 0n;
  for (let at = bytes.length - 1; at >= 0; at--) value = (value << 8n) | BigInt(bytes[at]);
  return value;
}

/** The y of an encoded point, without the sign of x. @param {Uint8Array} point */
const yOf = (point) => littleEndian(point) & ((1n << 255n) - 1n);

/** @param {Uint8Array} publicKey 32 bytes; false if nobody may sign with it */
export function isGoodPublicKey(publicKey) {
  const y = yOf(publicKey);
  return publicKey.length === 32 && y < P && !SMALL_ORDER.has(y);
}

/** @param {bigint} base @param {bigint} exponent */
function power(base, exponent) {
  let result = 1n;
  for (let square = base % P, rest = exponent; rest > 0n; rest >>= 1n, square = (square * square) % P) {
    if (rest & 1n) result = (result * square) % P;
  }
  return result;
}

/** Whether there is an x for a point's y: -x² + y² = 1 + d·x²·y². @param {Uint8Array} point */
export function isOnCurve(point) {
  const y2 = yOf(point) ** 2n % P;
  const d = P - (121665n * power(121666n, P - 2n)) % P;
  const x2 = ((y2 + P - 1n) * power((d * y2 + 1n) % P, P - 2n)) % P;
  return x2 === 0n || power(x2, (P - 1n) / 2n) === 1n;
}

/**
 * @param {Uint8Array} publicKey
 * @param {Uint8Array} signature
 * @param {Uint8Array} message
 */
export async function verifyEd25519(publicKey, signature, message) {
  if (!isGoodPublicKey(publicKey) || signature.length !== 64) return false;
  if (yOf(signature.subarray(0, 32)) >= P || littleEndian(signature.subarray(32)) >= L) return false;
  try {
    const key = await subtle.importKey("raw", plain(publicKey), "Ed25519", false, ["verify"]);
    return await subtle.verify("Ed25519", key, plain(signature), plain(message));
  } catch {
    return false;
  }
}
