/**
 * Errors. Each has a `code`, a stable word for programs (docs/reference/errors.md), a message that says
 * what is wrong, and a `hint`, the next step for people.
 */

const HINTS = /** @type {Record<string, string>} */ ({
  config: "Correct the option or file that the message names, then try again.",
  format: "Use a newer release of this client: the service is of a later one.",
  critical: "Use a newer release of this client: the service is of a later one.",
  malformed: "Use clients and a service of the same release, and read files as they were written.",
  open_failed: "Send the request again; if this stays, a process on the way changes messages.",
  envelope_too_large: "Send less in one request, such as fewer or smaller images.",
  directory_early: "Check this machine's clock; then ask whether the key broker runs.",
  directory_expired: "Check this machine's clock; then ask whether the key broker runs.",
  directory_no_key: "Check this machine's clock; then ask whether the key broker runs.",
  directory_fork: "Send nothing, keep the pin, and ask the operator which history is true.",
  directory_history: "Send nothing, keep the pin, and ask the operator which history is true.",
  directory_revocation: "Send nothing, keep the pin, and ask the operator which history is true.",
  directory_unlinked: "Try again or use another gateway; accept the gap only if the owner says that the log is lost.",
  directory_unwitnessed: "Try again in some seconds; then ask the operator and the witnesses whether they saw another log.",
  directory_rollback: "Send nothing, keep the pin, and ask the operator which history is true.",
  owner_changed: "Send nothing to this model before its owner says that its key changed.",
  collateral: "Ask the operator to renew the collateral; check this machine's clock.",
  revocations: "Ask the operator to renew the collateral; check this machine's clock.",
  receipt_missing: "Ask the operator for workers of a release that signs receipts.",
  invalid_input: "Correct the input; `client.models` says what each model takes.",
  tenant_refused: "Ask the tenant authority for a token, and pass it as tenantToken.",
  quota_exceeded: "Send less at once, or wait for the next period; the tenant authority sets the quotas.",
  model_failed: "Try another input; if the model fails on it too, tell the model's owner.",
  unavailable: "Try again in some seconds.",
  queue_full: "Take results, or send fewer requests at once; the operator can add workers.",
  deadline: "Raise timeoutMs, or try again later.",
});

/** Base of all errors that this package raises on purpose. */
export class SealflowError extends Error {
  /**
   * @param {string} code a stable word
   * @param {string} message what is wrong, and where
   * @param {{hint?: string, cause?: unknown}} [more]
   */
  constructor(code, message, more = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = new.target.name;
    /** @readonly */
    this.code = code;
    /** @readonly */
    this.hint = more.hint ?? HINTS[code] ?? this.defaultHint();
  }

  /** @protected @returns {string} */
  defaultHint() {
    return "Report this error with its message: it is a defect.";
  }

  toJSON() {
    return { code: this.code, error: this.message, hint: this.hint };
  }
}

/** An option, a policy or a call is wrong: nothing was sent. */
export class ConfigError extends SealflowError {
  /** @param {string} message @param {string} [code] */
  constructor(message, code = "config") {
    super(code, message);
  }

  /** @override @protected */
  defaultHint() {
    return HINTS.config;
  }
}

/** Bytes break a format. */
export class MalformedError extends SealflowError {
  /** @param {string} message @param {string} [code] */
  constructor(message, code = "malformed") {
    super(code, message);
  }
}

/** A sealed message does not open. */
export class OpenError extends SealflowError {
  /** @param {string} [message] */
  constructor(message = "the message does not open: it was changed, or is sealed to another key") {
    super("open_failed", message);
  }
}

/** The service could not be verified: nothing was sent. */
export class VerificationError extends SealflowError {
  /** @override @protected */
  defaultHint() {
    return "Send nothing there; ask the operator what runs, and the owner what should.";
  }
}

/**
 * One difference between the policy and what the service proved.
 * @typedef {{code: string, field: string, expected: string, got: string}} Mismatch
 */

/** The evidence is genuine, but not what the policy demands. */
export class PolicyError extends VerificationError {
  /** @param {Mismatch[]} mismatches */
  constructor(mismatches) {
    const text = mismatches.map((each) => `${each.code}: expected ${each.expected}, got ${each.got}`);
    super("policy", `the service does not meet the policy: ${text.join("; ")}`);
    /** @readonly */
    this.mismatches = mismatches;
  }

  /** @override */
  toJSON() {
    return { ...super.toJSON(), mismatches: this.mismatches };
  }
}

/** The service refused a request. Anybody on the way can make a refusal: it proves nothing. */
export class RefusedError extends SealflowError {
  /** @override @protected */
  defaultHint() {
    return "Try again; if this stays, ask the operator.";
  }
}

/** The worker answered, sealed, that it could not serve this input. */
export class ModelError extends SealflowError {}

/** Nobody answered in time, or the service asks to try later. */
export class UnavailableError extends SealflowError {
  /** @param {string} code @param {string} message @param {{retryAfterS?: number, cause?: unknown}} [more] */
  constructor(code, message, more = {}) {
    super(code, message, more);
    /** @readonly */
    this.retryAfterS = more.retryAfterS ?? 1;
  }
}

/**
 * Read something under a code of its own: what breaks the format inside is refused with that code.
 * Codes that say more (`format`, `critical`) stay.
 * @template T
 * @param {string} code
 * @param {() => T} read
 * @returns {T}
 */
export function under(code, read) {
  try {
    return read();
  } catch (error) {
    throw renamed(code, error);
  }
}

/**
 * @param {string} code
 * @param {unknown} error
 * @returns {unknown} the error to raise in its place
 */
export function renamed(code, error) {
  if (!(error instanceof MalformedError)) return error;
  const kept = error.code === "malformed" ? code : error.code;
  return new VerificationError(kept, error.message, { cause: error });
}
