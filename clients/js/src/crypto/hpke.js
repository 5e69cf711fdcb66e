/** HPKE (RFC 9180), base mode, one message: HKDF-SHA256 and AES-256-GCM with one of the two KEMs. */

import { concat, u16, utf8 } from "../base/bytes.js";
import { MalformedError, OpenError } from "../base/errors.js";
import { aesKey, aesOpen, aesSeal, hkdfExpand, hmac } from "./primitives.js";

const EMPTY = new Uint8Array(0);
const VERSION = utf8("HPKE-v1");

/** Key and nonce of the first message. @param {number} kem @param {Uint8Array} shared @param {Uint8Array} info */
export async function keySchedule(kem, shared, info) {
  const suite = concat(utf8("HPKE"), u16(kem), u16(1), u16(2));
  /** @param {Uint8Array} salt @param {string} label @param {Uint8Array} ikm */
  const extract = (salt, label, ikm) =>
    hmac("SHA-256", salt.length ? salt : new Uint8Array(32), VERSION, suite, utf8(label), ikm);
  const context = concat(
    Uint8Array.of(0),
    await extract(EMPTY, "psk_id_hash", EMPTY),
    await extract(EMPTY, "info_hash", info),
  );
  const secret = await extract(shared, "secret", EMPTY);
  /** @param {string} label @param {number} length */
  const expand = (label, length) =>
    hkdfExpand("SHA-256", secret, concat(u16(length), VERSION, suite, utf8(label), context), length);
  return { key: await expand("key", 32), nonce: await expand("base_nonce", 12) };
}

/**
 * Seal to a public key; the result is `enc` and the ciphertext.
 * @param {import("./kem.js").Kem} kem
 * @param {Uint8Array} publicKey
 * @param {Uint8Array} info
 * @param {Uint8Array} plaintext
 * @param {import("./kem.js").Coins} [coins]
 */
export async function hpkeSeal(kem, publicKey, info, plaintext, coins) {
  if (publicKey.length !== kem.publicLength) throw new MalformedError("the public key has another length");
  const { shared, enc } = await kem.encapsulate(publicKey, coins);
  const { key, nonce } = await keySchedule(kem.id, shared, info);
  return concat(enc, await aesSeal(await aesKey(key, "encrypt"), nonce, plaintext));
}

/**
 * Open what `hpkeSeal` made. A client never needs this; tests of both directions do.
 * @param {import("./kem.js").Kem} kem
 * @param {Uint8Array} seed
 * @param {Uint8Array} info
 * @param {Uint8Array} sealed
 */
export async function hpkeOpen(kem, seed, info, sealed) {
  if (sealed.length < kem.encLength + 16) throw new OpenError();
  const shared = await kem.decapsulate(seed, sealed.subarray(0, kem.encLength));
  const { key, nonce } = await keySchedule(kem.id, shared, info);
  const opened = await aesOpen(await aesKey(key, "decrypt"), nonce, sealed.subarray(kem.encLength));
  if (opened === null) throw new OpenError();
  return opened;
}
