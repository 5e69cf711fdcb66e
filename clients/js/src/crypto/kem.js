/** The two KEMs of HPKE that suites name: DHKEM(X25519) and X-Wing (ML-KEM-768 with X25519). */

import { sha3_256, shake256 } from "@noble/hashes/sha3.js";
import { ml_kem768 } from "@noble/post-quantum/ml-kem.js";

import { concat, u16, utf8 } from "../base/bytes.js";
import { MalformedError, OpenError } from "../base/errors.js";
import { hkdfExpand, hmac } from "./primitives.js";
import { x25519FromSeed, x25519Generate, x25519Shared } from "./x25519.js";

const MLKEM_PUBLIC = 1184;
const MLKEM_CIPHERTEXT = 1088;
const XWING_LABEL = utf8("\\.//^\\");

/** What is drawn at random unless it is given, as tests of known answers do. @typedef {{x25519: Uint8Array, mlkem?: Uint8Array}} Coins */

/**
 * @typedef {object} Kem
 * @property {number} id
 * @property {number} publicLength
 * @property {number} encLength
 * @property {(publicKey: Uint8Array, coins?: Coins) => Promise<{shared: Uint8Array, enc: Uint8Array}>} encapsulate
 * @property {(seed: Uint8Array, enc: Uint8Array) => Promise<Uint8Array>} decapsulate
 * @property {(seed: Uint8Array) => Promise<Uint8Array>} publicKey
 */

const lowOrder = () => new MalformedError("the public key is of low order");

/** @param {Coins | undefined} coins */
const ephemeral = (coins) => (coins === undefined ? x25519Generate() : x25519FromSeed(coins.x25519));

/** ExtractAndExpand of RFC 9180, 4.1. @param {Uint8Array} dh @param {Uint8Array} context */
async function dhkemShared(dh, context) {
  const suite = concat(utf8("KEM"), u16(0x0020));
  const version = utf8("HPKE-v1");
  const prk = await hmac("SHA-256", new Uint8Array(32), version, suite, utf8("eae_prk"), dh);
  const info = concat(u16(32), version, suite, utf8("shared_secret"), context);
  return hkdfExpand("SHA-256", prk, info, 32);
}

/** @type {Kem} */
export const dhkemX25519 = {
  id: 0x0020,
  publicLength: 32,
  encLength: 32,
  async encapsulate(publicKey, coins) {
    const own = await ephemeral(coins);
    const dh = await x25519Shared(own.privateKey, publicKey);
    if (dh === null) throw lowOrder();
    return { shared: await dhkemShared(dh, concat(own.publicKey, publicKey)), enc: own.publicKey };
  },
  async decapsulate(seed, enc) {
    const own = await x25519FromSeed(seed);
    const dh = await x25519Shared(own.privateKey, enc);
    if (dh === null) throw new OpenError();
    return dhkemShared(dh, concat(enc, own.publicKey));
  },
  publicKey: async (seed) => (await x25519FromSeed(seed)).publicKey,
};

/** @param {Uint8Array} seed */
function expandXwingSeed(seed) {
  const expanded = shake256(seed, { dkLen: 96 });
  return { mlkem: ml_kem768.keygen(expanded.subarray(0, 64)), x25519: expanded.subarray(64) };
}

/** @param {Uint8Array} ssM @param {Uint8Array} ssX @param {Uint8Array} ctX @param {Uint8Array} pkX */
const combine = (ssM, ssX, ctX, pkX) => sha3_256(concat(ssM, ssX, ctX, pkX, XWING_LABEL));

/** @type {Kem} */
export const xwing = {
  id: 0x647a,
  publicLength: MLKEM_PUBLIC + 32,
  encLength: MLKEM_CIPHERTEXT + 32,
  async encapsulate(publicKey, coins) {
    const pkX = publicKey.subarray(MLKEM_PUBLIC);
    const own = await ephemeral(coins);
    const ssX = await x25519Shared(own.privateKey, pkX);
    if (ssX === null) throw lowOrder();
    let part;
    try {
      part = ml_kem768.encapsulate(publicKey.subarray(0, MLKEM_PUBLIC), coins?.mlkem); // also checks the modulus
    } catch {
      throw new MalformedError("the public key is not one of ML-KEM-768");
    }
    const shared = combine(part.sharedSecret, ssX, own.publicKey, pkX);
    return { shared, enc: concat(part.cipherText, own.publicKey) };
  },
  async decapsulate(seed, enc) {
    const { mlkem, x25519 } = expandXwingSeed(seed);
    const own = await x25519FromSeed(x25519);
    const ctX = enc.subarray(MLKEM_CIPHERTEXT);
    const ssX = await x25519Shared(own.privateKey, ctX);
    if (ssX === null) throw new OpenError();
    const ssM = ml_kem768.decapsulate(enc.subarray(0, MLKEM_CIPHERTEXT), mlkem.secretKey);
    return combine(ssM, ssX, ctX, own.publicKey);
  },
  async publicKey(seed) {
    const { mlkem, x25519 } = expandXwingSeed(seed);
    return concat(mlkem.publicKey, (await x25519FromSeed(x25519)).publicKey);
  },
};

