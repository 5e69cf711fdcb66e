/** Hashes, HMAC, HKDF, AES-GCM and ECDSA by WebCrypto. */

import { concat } from "../base/bytes.js";

/** @typedef {Uint8Array<ArrayBuffer>} Bytes */

const { subtle } = globalThis.crypto;

/** @param {Uint8Array} bytes @returns {Bytes} bytes that WebCrypto takes: of no shared memory */
export const plain = (bytes) =>
  bytes.buffer instanceof ArrayBuffer ? /** @type {Bytes} */ (bytes) : new Uint8Array(bytes);

/** @param {number} length @returns {Bytes} */
export const randomBytes = (length) => globalThis.crypto.getRandomValues(new Uint8Array(length));

/** @param {"SHA-256" | "SHA-384" | "SHA-512"} hash @param {Uint8Array[]} parts @returns {Promise<Bytes>} */
const digest = async (hash, parts) => new Uint8Array(await subtle.digest(hash, concat(...parts)));

/** @param {...Uint8Array} parts */
export const sha256 = (...parts) => digest("SHA-256", parts);

/** @param {...Uint8Array} parts */
export const sha512 = (...parts) => digest("SHA-512", parts);

/** @param {"SHA-256" | "SHA-512"} hash @param {Uint8Array} key @param {...Uint8Array} parts @returns {Promise<Bytes>} */
export async function hmac(hash, key, ...parts) {
  const algorithm = { name: "HMAC", hash };
  const imported = await subtle.importKey("raw", plain(key), algorithm, false, ["sign"]);
  return new Uint8Array(await subtle.sign("HMAC", imported, concat(...parts)));
}

/**
 * HKDF-SHA256 (RFC 5869), extract and expand.
 * @param {Uint8Array} secret
 * @param {Uint8Array} salt
 * @param {Uint8Array} info
 * @param {number} length in bytes
 * @returns {Promise<Bytes>}
 */
export async function hkdfSha256(secret, salt, info, length) {
  const key = await subtle.importKey("raw", plain(secret), "HKDF", false, ["deriveBits"]);
  const algorithm = { name: "HKDF", hash: "SHA-256", salt: plain(salt), info: plain(info) };
  return new Uint8Array(await subtle.deriveBits(algorithm, key, 8 * length));
}

/**
 * HKDF-Expand alone.
 * @param {"SHA-256" | "SHA-512"} hash
 * @param {Uint8Array} prk
 * @param {Uint8Array} info
 * @param {number} length in bytes
 */
export async function hkdfExpand(hash, prk, info, length) {
  /** @type {Bytes[]} */
  const blocks = [];
  let block = new Uint8Array(0);
  for (let done = 0; done < length; done += block.length) {
    block = await hmac(hash, prk, block, info, Uint8Array.of(blocks.length + 1));
    blocks.push(block);
  }
  return concat(...blocks).subarray(0, length);
}

/** @param {Uint8Array} key 32 bytes @param {"encrypt" | "decrypt"} use */
export const aesKey = (key, use) => subtle.importKey("raw", plain(key), "AES-GCM", false, [use]);

/** @param {CryptoKey} key @param {Uint8Array} nonce @param {Uint8Array} plaintext @param {Uint8Array} [aad] @returns {Promise<Bytes>} */
export async function aesSeal(key, nonce, plaintext, aad = new Uint8Array(0)) {
  const algorithm = { name: "AES-GCM", iv: plain(nonce), additionalData: plain(aad) };
  return new Uint8Array(await subtle.encrypt(algorithm, key, plain(plaintext)));
}

/** @param {CryptoKey} key @param {Uint8Array} nonce @param {Uint8Array} sealed @param {Uint8Array} [aad] @returns {Promise<Bytes | null>} null if it does not open */
export async function aesOpen(key, nonce, sealed, aad = new Uint8Array(0)) {
  const algorithm = { name: "AES-GCM", iv: plain(nonce), additionalData: plain(aad) };
  try {
    return new Uint8Array(await subtle.decrypt(algorithm, key, plain(sealed)));
  } catch {
    return null;
  }
}

/**
 * Verify ECDSA.
 * @param {"P-256" | "P-384"} curve
 * @param {"SHA-256" | "SHA-384"} hash
 * @param {Uint8Array} point uncompressed: 4, x, y
 * @param {Uint8Array} signature r and s, each as long as the curve's field
 * @param {Uint8Array} message
 */
export async function verifyEcdsa(curve, hash, point, signature, message) {
  try {
    const algorithm = { name: "ECDSA", namedCurve: curve };
    const key = await subtle.importKey("raw", plain(point), algorithm, false, ["verify"]);
    return await subtle.verify({ name: "ECDSA", hash }, key, plain(signature), plain(message));
  } catch {
    return false;
  }
}

const P256 = 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n;
const P256_B = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;

/** Whether a point is one of P-256: y² = x³ - 3x + b. @param {Uint8Array} x @param {Uint8Array} y */
export function isOnP256(x, y) {
  const [a, b] = [x, y].map((bytes) => bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n));
  return a < P256 && b < P256 && (b * b - a ** 3n + 3n * a - P256_B) % P256 === 0n;
}

/** RSA-PSS with SHA-384, salt of 48 bytes. @param {Uint8Array} spki @param {Uint8Array} signature @param {Uint8Array} message */
export async function verifyRsaPss(spki, signature, message) {
  try {
    const algorithm = { name: "RSA-PSS", hash: "SHA-384" };
    const key = await subtle.importKey("spki", plain(spki), algorithm, false, ["verify"]);
    return await subtle.verify({ name: "RSA-PSS", saltLength: 48 }, key, plain(signature), plain(message));
  } catch {
    return false;
  }
}

