/** X25519 (RFC 7748) by WebCrypto. A shared secret of zeros, from a point of low order, is refused. */

import { concat, fromHex } from "../base/bytes.js";
import { plain } from "./primitives.js";

const { subtle } = globalThis.crypto;
const PKCS8 = fromHex("302e020100300506032b656e04220420");

/** @typedef {{publicKey: Uint8Array, privateKey: CryptoKey}} X25519Pair */

/** @param {Uint8Array} seed 32 bytes: the private key @returns {Promise<X25519Pair>} */
export async function x25519FromSeed(seed) {
  const encoded = concat(PKCS8, seed);
  const privateKey = await subtle.importKey("pkcs8", encoded, "X25519", true, ["deriveBits"]);
  const { x } = await subtle.exportKey("jwk", privateKey);
  return { privateKey, publicKey: fromBase64Url(/** @type {string} */ (x)) };
}

/** @returns {Promise<X25519Pair>} */
export async function x25519Generate() {
  const algorithm = /** @type {any} */ ("X25519");
  const pair = /** @type {CryptoKeyPair} */ (await subtle.generateKey(algorithm, false, ["deriveBits"]));
  return { privateKey: pair.privateKey, publicKey: new Uint8Array(await subtle.exportKey("raw", pair.publicKey)) };
}

/**
 * @param {CryptoKey} privateKey
 * @param {Uint8Array} publicKey
 * @returns {Promise<Uint8Array | null>} null if the point is of low order
 */
export async function x25519Shared(privateKey, publicKey) {
  try {
    const peer = await subtle.importKey("raw", plain(publicKey), "X25519", false, []);
    const algorithm = /** @type {any} */ ({ name: "X25519", public: peer });
    const shared = new Uint8Array(await subtle.deriveBits(algorithm, privateKey, 256));
    return shared.every((byte) => byte === 0) ? null : shared;
  } catch {
    return null;
  }
}

/** @param {string} text */
function fromBase64Url(text) {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (each) => each.charCodeAt(0));
}
