/** Sessions, requests and replies (exchange.md, 5 to 7), and both sides of them, for tests. */

import { concat, equal, fromHex, lengthPrefixed, toHex, utf8 } from "../base/bytes.js";
import { MalformedError, OpenError } from "../base/errors.js";
import { openChunked, sealChunked } from "../crypto/cobblestone.js";
import { hpkeOpen, hpkeSeal } from "../crypto/hpke.js";
import { hkdfSha256, randomBytes, sha256 } from "../crypto/primitives.js";
import { parseContent } from "./content.js";
import { encodeStart, MAX_BODY_BYTES, parseEnvelope, REPLY, REQUEST } from "./envelope.js";
import { pad, padme, unpad } from "./padding.js";
import { keyId, label } from "./suites.js";

const SECRET_BYTES = 32;
const MAX_REQUESTS = 2 ** 20;
const MAX_AGE_MS = 15 * 60_000;
const EMPTY = new Uint8Array(0);

/** @typedef {import("./suites.js").Suite} Suite */
/** @typedef {import("../crypto/cobblestone.js").Random} Random */
/** @typedef {{kid: string, suite: Suite, publicKey: Uint8Array}} SealingKey */

/** @param {Suite} suite @param {string} kid @param {string} sid */
const sessionInfo = (suite, kid, sid) =>
  concat(label(suite.domain, "session"), lengthPrefixed(utf8(kid)), lengthPrefixed(utf8(sid)));

/** @param {number} length of the plaintext */
const sealedLength = (length) => 56 + length + 16 * (Math.floor(length / 16384) + 1);

/** Keys of a request. @param {Suite} suite @param {Uint8Array} secret @param {string} rid @param {Uint8Array} start @param {Uint8Array} keyBlob */
async function requestKeys(suite, secret, rid, start, keyBlob) {
  const transcript = await sha256(
    label(suite.domain, "request transcript"), lengthPrefixed(start), lengthPrefixed(keyBlob),
  );
  const info = concat(label(suite.domain, "request key"), transcript);
  return { transcript, key: await hkdfSha256(secret, fromHex(rid), info, 32) };
}

/** Keys of a reply. @param {Suite} suite @param {Uint8Array} secret @param {string} rid @param {string} nonce @param {Uint8Array} start @param {Uint8Array} requestDigest */
async function replyKeys(suite, secret, rid, nonce, start, requestDigest) {
  const transcript = await sha256(label(suite.domain, "reply transcript"), lengthPrefixed(start), lengthPrefixed(EMPTY));
  const info = concat(label(suite.domain, "reply key"), transcript, requestDigest);
  return { transcript, key: await hkdfSha256(secret, fromHex(rid + nonce), info, 32) };
}

/** @param {Suite} suite @param {Uint8Array} transcript @param {Uint8Array} body */
const requestDigestOf = (suite, transcript, body) => sha256(label(suite.domain, "request digest"), transcript, body);

/** A session: one secret, sealed once to a key, and good for many requests. */
export class Session {
  /** @param {SealingKey} key @param {string} sid @param {Uint8Array} secret @param {Uint8Array} keyBlob */
  constructor(key, sid, secret, keyBlob) {
    this.key = key;
    this.sid = sid;
    this.secret = secret;
    this.keyBlob = keyBlob;
    this.requests = 0;
    this.startedMs = Date.now();
  }

  /** @param {SealingKey} key @param {Random} [random] @param {import("../crypto/kem.js").Coins} [coins] */
  static async start(key, random = randomBytes, coins = undefined) {
    const [secret, sid] = [random(SECRET_BYTES), toHex(random(16))];
    const blob = await hpkeSeal(key.suite.kem, key.publicKey, sessionInfo(key.suite, key.kid, sid), secret, coins);
    return new Session(key, sid, secret, blob);
  }

  /** Whether it may still be used for this key. @param {string} kid @param {number} nowMs */
  isGoodFor(kid, nowMs) {
    const age = nowMs - this.startedMs;
    return this.key.kid === kid && this.requests < MAX_REQUESTS && age >= 0 && age < MAX_AGE_MS;
  }

  /**
   * Seal one request.
   * @param {{name: string, version: string, digest: string}} model
   * @param {Uint8Array} content
   * @param {number} deadlineMs
   * @param {Random} [random]
   * @returns {Promise<OutgoingRequest>}
   */
  async seal(model, content, deadlineMs, random = randomBytes) {
    this.requests++;
    const { suite, kid } = this.key;
    const rid = toHex(random(16));
    const header = {
      kid, sid: this.sid, rid, model: model.name, version: model.version, model_digest: model.digest,
      deadline_ms: deadlineMs,
    };
    const bodyLength = sealedLength(padme(4 + content.length));
    if (bodyLength > MAX_BODY_BYTES) throw new MalformedError("the request is too large", "envelope_too_large");
    const start = encodeStart(REQUEST, suite.id, header, this.keyBlob.length, bodyLength);
    const { transcript, key } = await requestKeys(suite, this.secret, rid, start, this.keyBlob);
    const body = await sealChunked(key, transcript, pad(content), random);
    const requestDigest = await requestDigestOf(suite, transcript, body);
    return new OutgoingRequest(suite, header, this.secret, requestDigest, concat(start, this.keyBlob, body));
  }
}

/** A sealed request, and what opens its reply. */
export class OutgoingRequest {
  /** @param {Suite} suite @param {Record<string, any>} header @param {Uint8Array} secret @param {Uint8Array} requestDigest @param {Uint8Array} envelope */
  constructor(suite, header, secret, requestDigest, envelope) {
    this.suite = suite;
    this.header = header;
    this.secret = secret;
    this.requestDigest = requestDigest;
    this.envelope = envelope;
  }

  /**
   * Open a reply. Anything that is not the genuine reply to this request raises `OpenError`.
   * @param {import("./envelope.js").Envelope} reply
   * @returns {Promise<{header: Record<string, any>, padded: Uint8Array}>}
   */
  async open(reply) {
    const { header } = reply;
    const fits =
      reply.kind === REPLY &&
      reply.suite === this.suite.id &&
      header.rid === this.header.rid &&
      header.kid === this.header.kid &&
      header.model_digest === this.header.model_digest &&
      header.simulated === (this.suite.domain === "simulated") &&
      equal(fromHex(header.request_digest), this.requestDigest);
    if (!fits) throw new OpenError("the reply is not one to this request");
    const { rid } = this.header;
    const keys = await replyKeys(this.suite, this.secret, rid, header.nonce, reply.start, this.requestDigest);
    return { header, padded: await openChunked(keys.key, keys.transcript, reply.body) };
  }
}

/**
 * Open a request with the key's seed, as a worker does.
 * @param {Suite} suite
 * @param {Uint8Array} seed
 * @param {Uint8Array} bytes
 * @param {number} [maxBodyBytes]
 */
export async function openRequest(suite, seed, bytes, maxBodyBytes = MAX_BODY_BYTES) {
  const envelope = parseEnvelope(bytes, maxBodyBytes);
  if (envelope.kind !== REQUEST || envelope.suite !== suite.id) throw new OpenError();
  const { header, start, keyBlob, body } = envelope;
  if (header.kid !== (await keyId(suite, await suite.kem.publicKey(seed)))) throw new OpenError();
  const secret = await hpkeOpen(suite.kem, seed, sessionInfo(suite, header.kid, header.sid), keyBlob);
  if (secret.length !== SECRET_BYTES) throw new OpenError();
  const { transcript, key } = await requestKeys(suite, secret, header.rid, start, keyBlob);
  const content = parseContent(unpad(await openChunked(key, transcript, body)));
  return { header, secret, content, requestDigest: await requestDigestOf(suite, transcript, body) };
}

/**
 * Seal a reply, as a worker does.
 * @param {Suite} suite
 * @param {{header: Record<string, any>, secret: Uint8Array, requestDigest: Uint8Array}} request
 * @param {Uint8Array} content
 * @param {string} instance
 * @param {Random} [random]
 */
export async function sealReply(suite, request, content, instance, random = randomBytes) {
  const padded = pad(content);
  const { rid, kid, model_digest } = request.header;
  const nonce = toHex(random(32));
  const header = {
    rid, kid, request_digest: toHex(request.requestDigest), model_digest, instance, nonce,
    simulated: suite.domain === "simulated",
  };
  const start = encodeStart(REPLY, suite.id, header, 0, sealedLength(padded.length));
  const { transcript, key } = await replyKeys(suite, request.secret, rid, nonce, start, request.requestDigest);
  return concat(start, await sealChunked(key, transcript, padded, random));
}

