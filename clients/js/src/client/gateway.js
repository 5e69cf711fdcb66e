/** The gateway's HTTP API (docs/reference/gateway.md). All that it answers is untrusted. */

import { SealflowError, UnavailableError, VerificationError } from "../base/errors.js";
import { plain } from "../crypto/primitives.js";
import { MAX_DOCUMENT_BYTES } from "../documents/directory.js";
import { splitLines } from "../documents/log.js";
import { linked } from "./signals.js";

const MEDIA_TYPE = "application/vnd.sealflow.envelope";
const MAX_ANSWER_BYTES = 17 * 2 ** 20;
const MAX_LOG_ANSWER_BYTES = 64 * 2 ** 20;
const FETCH_TIMEOUT_MS = 15_000;
const GRACE_MS = 2000;

/**
 * @typedef {object} Answer
 * @property {number} status
 * @property {boolean} isEnvelope whether it says that it is one
 * @property {Uint8Array} body
 * @property {number | null} retryAfterS
 */

export class Gateway {
  /** @param {string | URL} address @param {typeof globalThis.fetch} fetch */
  constructor(address, fetch) {
    this.base = new URL(address);
    if (!this.base.pathname.endsWith("/")) this.base.pathname += "/";
    this.fetch = fetch;
  }

  /** The published document, as it came. @param {AbortSignal} signal @param {number} [logSize] with a proof from a log of that size, if the gateway has one */
  async directory(signal, logSize) {
    const path = logSize === undefined ? "v1/directory" : `v1/directory?log_size=${logSize}`;
    const answer = await this.ask(path, {}, MAX_DOCUMENT_BYTES, signal);
    if (answer.status === 200) return answer.body;
    throw this.unavailable(answer, "the service has published nothing yet, or is away");
  }

  /** Log records from `first` up to `last`, fewer if the gateway has no more. @param {number} first @param {number} last @param {AbortSignal} signal */
  async log(first, last, signal) {
    /** @type {Uint8Array[]} */
    const lines = [];
    let total = 0;
    while (first + lines.length <= last) {
      const answer = await this.ask(`v1/log/${first + lines.length}`, {}, MAX_LOG_ANSWER_BYTES - total, signal);
      const found = answer.status === 200 ? splitLines(answer.body) : [];
      total += answer.body.length;
      if (found.length === 0 || total >= MAX_LOG_ANSWER_BYTES) break;
      lines.push(...found);
    }
    return lines;
  }

  /** Send a sealed request and wait for the answer. @param {Uint8Array} envelope @param {number} waitS whole seconds @param {AbortSignal} signal */
  async post(envelope, waitS, signal) {
    // A page of another origin leaves the type out, and so spares the browser a question before each request.
    const isForeignPage = globalThis.location !== undefined && globalThis.location.origin !== this.base.origin;
    const headers = /** @type {Record<string, string>} */ (isForeignPage ? {} : { "content-type": MEDIA_TYPE });
    const options = { method: "POST", body: new Blob([plain(envelope)]), headers };
    return this.ask(`v1/envelopes?wait=${waitS}`, options, MAX_ANSWER_BYTES, signal, waitS * 1000 + GRACE_MS);
  }

  /** @param {string} path @param {RequestInit} options @param {number} most bytes @param {AbortSignal} signal @param {number} [limitMs] @returns {Promise<Answer>} */
  async ask(path, options, most, signal, limitMs = FETCH_TIMEOUT_MS) {
    const url = new URL(path, this.base);
    const reason = () => new UnavailableError("unavailable", `${this.base.origin} does not answer within ${limitMs} ms`);
    const limit = linked([signal], { afterMs: limitMs, reason });
    try {
      const response = await this.fetch(url, {
        ...options, signal: limit.signal, cache: "no-store", credentials: "omit", redirect: "error", referrerPolicy: "no-referrer",
      });
      const retryAfter = response.headers.get("retry-after");
      return {
        status: response.status,
        isEnvelope: (response.headers.get("content-type") ?? "").split(";")[0].trim() === MEDIA_TYPE,
        body: await readBody(response, most),
        retryAfterS: retryAfter !== null && /^[0-9]{1,4}$/.test(retryAfter) ? Number(retryAfter) : null,
      };
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof SealflowError) throw error;
      throw new UnavailableError("unavailable", `${this.base.origin} does not answer`, { cause: error });
    } finally {
      limit.release();
    }
  }

  /** @param {Answer} answer @param {string} reason */
  unavailable(answer, reason) {
    return new UnavailableError("unavailable", `${reason} (HTTP ${answer.status})`, { retryAfterS: answer.retryAfterS ?? 1 });
  }
}

/** @param {Response} response @param {number} most */
async function readBody(response, most) {
  /** @type {Uint8Array[]} */
  const parts = [];
  let length = 0;
  const reader = response.body?.getReader();
  for (let step = await reader?.read(); step && !step.done; step = await reader?.read()) {
    length += step.value.length;
    if (length > most) {
      await reader?.cancel();
      throw new VerificationError("document", "the service's answer is too large");
    }
    parts.push(step.value);
  }
  const whole = new Uint8Array(length);
  parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
  return whole;
}
