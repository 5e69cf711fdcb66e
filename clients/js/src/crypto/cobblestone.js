/**
 * Cobblestone-256: C2SP chunked encryption with HKDF-Expand-SHA-512 and AES-256-GCM, in chunks of 16 KiB of which
 * the last is shorter. It commits to key and context, and detects truncation.
 */

import { concat, equal, utf8 } from "../base/bytes.js";
import { OpenError } from "../base/errors.js";
import { aesKey, aesOpen, aesSeal, hkdfExpand, randomBytes } from "./primitives.js";

const CHUNK = 16 * 1024;
const TAG = 16;
const SALT = 24;
const HEAD = SALT + 32;
const INFO = utf8("c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0");

/** Where random bytes come from: the platform, but for tests of known answers. @typedef {(length: number) => Uint8Array} Random */

/** @param {Uint8Array} key @param {Uint8Array} salt @param {Uint8Array} context */
async function derive(key, salt, context) {
  if (key.length !== 32) throw new OpenError();
  const bytes = await hkdfExpand("SHA-512", key, concat(INFO, salt, context), 32 + 12 + 32);
  return { key: bytes.subarray(0, 32), nonce: bytes.subarray(32, 44), commitment: bytes.subarray(44) };
}

/** @param {Uint8Array} base @param {number} number of the chunk */
function nonceOf(base, number) {
  const nonce = base.slice();
  for (let at = 11, rest = number; rest > 0; at--, rest = Math.floor(rest / 256)) nonce[at] ^= rest % 256;
  return nonce;
}

/**
 * @param {Uint8Array} key 32 bytes that encrypt no other message
 * @param {Uint8Array} context
 * @param {Uint8Array} message
 * @param {Random} [random]
 */
export async function sealChunked(key, context, message, random = randomBytes) {
  const salt = random(SALT);
  const derived = await derive(key, salt, context);
  const aes = await aesKey(derived.key, "encrypt");
  const count = Math.floor(message.length / CHUNK) + 1;
  const chunks = await Promise.all(
    Array.from({ length: count }, (_, number) =>
      aesSeal(aes, nonceOf(derived.nonce, number), message.subarray(number * CHUNK, (number + 1) * CHUNK)),
    ),
  );
  return concat(salt, derived.commitment, ...chunks);
}

/**
 * Open a whole message; nothing of it is given before its last chunk is verified.
 * @param {Uint8Array} key
 * @param {Uint8Array} context
 * @param {Uint8Array} sealed
 */
export async function openChunked(key, context, sealed) {
  const body = sealed.subarray(HEAD);
  const rest = body.length % (CHUNK + TAG);
  if (sealed.length < HEAD || rest < TAG) throw new OpenError();
  const derived = await derive(key, sealed.subarray(0, SALT), context);
  if (!equal(derived.commitment, sealed.subarray(SALT, HEAD))) throw new OpenError();
  const aes = await aesKey(derived.key, "decrypt");
  const count = Math.floor(body.length / (CHUNK + TAG)) + 1;
  const chunks = await Promise.all(
    Array.from({ length: count }, (_, number) =>
      aesOpen(aes, nonceOf(derived.nonce, number), body.subarray(number * (CHUNK + TAG), (number + 1) * (CHUNK + TAG))),
    ),
  );
  /** @type {Uint8Array[]} */
  const opened = [];
  for (const chunk of chunks) {
    if (chunk === null) throw new OpenError();
    opened.push(chunk);
  }
  return concat(...opened);
}
