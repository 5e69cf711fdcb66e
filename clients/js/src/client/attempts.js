/** When to seal a request anew (client.md, section 10). */

import { RefusedError, SealflowError, UnavailableError } from "../base/errors.js";

const MAX_REFUSED = 8;
const MAX_RETRY_AFTER_S = 60;
const UNKNOWN_MODEL_MS = 20_000;
const FIRST_PAUSE_MS = 100;
const LAST_PAUSE_MS = 2000;
const ONCE = ["expired", "replayed", "not_opened"];
const NEVER = ["malformed", "too_large", "deadline_far", "undeliverable"];
const WAITING = ["overloaded", "unavailable"];

const MEANINGS = /** @type {Record<string, string>} */ ({
  malformed: "the envelope breaks the format",
  too_large: "the envelope is over the size limit",
  unknown_key: "the key is unknown or expired",
  unknown_model: "no such model and version is served here",
  expired: "the deadline passed before a worker took the request",
  deadline_far: "the deadline is further ahead than the deployment allows: check this machine's clock",
  replayed: "the request id was seen before",
  not_opened: "the envelope does not open",
  overloaded: "a bound is reached",
  undeliverable: "no worker survived the request",
  unavailable: "no worker can serve now",
  no_answer: "the answer is not one to this request",
});

/** What comes of a refusal: wait, then seal anew, with a fresh directory or not. @typedef {{pauseMs: number, refresh: boolean}} Again */

/** The attempts of one request. */
export class Attempts {
  /** @param {number} untilMs by `performance.now()` */
  constructor(untilMs) {
    this.untilMs = untilMs;
    this.startedMs = performance.now();
    this.made = 1;
    this.refused = 0;
    this.repeated = false;
  }

  /**
   * Whether to try again after a refusal; raises if not.
   * @param {string} code a refusal's, or `no_answer`
   * @param {number | null} retryAfterS
   * @returns {Again}
   */
  after(code, retryAfterS) {
    const now = performance.now();
    if (!WAITING.includes(code)) this.refused++;
    const spent = NEVER.includes(code) || this.refused >= MAX_REFUSED || (ONCE.includes(code) && this.repeated) ||
      (code === "unknown_model" && now - this.startedMs >= UNKNOWN_MODEL_MS);
    const growing = Math.min(LAST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (this.made - 1));
    const pauseMs = Math.max(Math.random() * growing, 1000 * Math.min(retryAfterS ?? 0, MAX_RETRY_AFTER_S));
    if (spent || now + pauseMs >= this.untilMs) throw raised(code, retryAfterS);
    this.made++;
    this.repeated ||= ONCE.includes(code);
    return { pauseMs, refresh: code === "unknown_key" || code === "unknown_model" || ONCE.includes(code) };
  }
}

/** @param {string} code @param {number | null} retryAfterS @returns {SealflowError} */
function raised(code, retryAfterS) {
  const message = `the service refused: ${MEANINGS[code] ?? code}`;
  switch (code) {
    case "overloaded":
      return new UnavailableError("queue_full", message, { retryAfterS: retryAfterS ?? 1 });
    case "unavailable":
      return new UnavailableError("unavailable", message, { retryAfterS: retryAfterS ?? 1 });
    case "no_answer":
      return new UnavailableError("unavailable", MEANINGS.no_answer, { retryAfterS: retryAfterS ?? 1 });
    case "expired":
      return new UnavailableError("deadline", message);
    default:
      return new RefusedError(code, message);
  }
}
