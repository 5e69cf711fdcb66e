/** Log records, and the links from a pinned directory to a new one (keybroker.md, 6; directory.md, 4). */

import { concat, toHex } from "../base/bytes.js";
import { MalformedError, renamed, UnavailableError, under, VerificationError } from "../base/errors.js";
import { anyObject, base64, base64AtMost, digest, integer, nullable, readObject, string, time } from "../base/forms.js";
import { parseObject } from "../base/json.js";
import { appraise } from "../attest/appraise.js";
import { readEvidence, ZERO_NONCE } from "../attest/evidence.js";
import { verifyEd25519 } from "../crypto/ed25519.js";
import { sha256 } from "../crypto/primitives.js";
import { label } from "../seal/suites.js";

const MAX_LINE = 1.5 * 2 ** 20;
const MAX_FETCH = 64 * 2 ** 20;
const counted = integer(0, Number.MAX_SAFE_INTEGER);

/** @typedef {{number: number, previous: string | null, atMs: number, kind: string, body: any, digest: string, signature: Uint8Array}} LogEntry */
/** @typedef {import("../seal/suites.js").TrustDomain} TrustDomain */

/** Read one record; nothing of it is verified. @param {Uint8Array} line @param {TrustDomain} domain @returns {Promise<LogEntry>} */
export async function parseRecord(line, domain) {
  const what = "a log record";
  if (line.length > MAX_LINE) throw new MalformedError(`${what} is too large`);
  const { entry, signature } = readObject(parseObject(line, what), what, {
    required: { entry: base64(), signature: base64AtMost(64) }, open: true,
  });
  const read = readObject(parseObject(entry, "a log entry"), "a log entry", {
    required: { number: counted, previous: nullable(digest), at_ms: time, kind: string, body: anyObject },
    open: true,
    format: "required",
  });
  return {
    number: read.number, previous: read.previous, atMs: read.at_ms, kind: read.kind, body: read.body, signature,
    digest: toHex(await sha256(label(domain, "log entry"), entry)),
  };
}

/** The records of a log file or answer: one a line. @param {Uint8Array} bytes @returns {Uint8Array[]} */
export function splitLines(bytes) {
  if (bytes.length > MAX_FETCH) throw new VerificationError("log_chain", "the log is too large");
  /** @type {Uint8Array[]} */
  const lines = [];
  for (let at = 0; at < bytes.length; ) {
    const found = bytes.indexOf(10, at);
    const end = found < 0 ? bytes.length : found;
    if (end - at > MAX_LINE) throw new VerificationError("log_chain", "a log record is too large");
    lines.push(bytes.subarray(at, end));
    at = end + 1;
  }
  return lines;
}

/** @param {any} body */
export function directoryBody(body) {
  const what = "a directory entry";
  const read = readObject(body, what, {
    required: { version: counted, digest }, optional: { unlogged_refusals: counted }, open: true,
  });
  return { version: /** @type {number} */ (read.version), digest: /** @type {string} */ (read.digest) };
}

/**
 * Check that records lead from the pinned directory to a newer one. No signatures are needed: the new directory is
 * signed, and names the end of the chain.
 * @param {Uint8Array[]} lines from the pinned `log_number` + 1 on
 * @param {import("./pin.js").Pin} pin
 * @param {import("./directory.js").Directory} directory
 * @param {TrustDomain} domain
 * @returns {Promise<void>} UnavailableError `directory_unlinked`: the host does not show all of them
 */
export async function checkLinks(lines, pin, directory, domain) {
  /** @param {string} reason @returns {never} */
  const fork = (reason) => {
    throw new VerificationError("directory_fork", reason);
  };
  let [number, previous] = [pin.logNumber, pin.logDigest];
  let seen = false;
  for (const line of lines) {
    if (number === directory.logNumber) break;
    const entry = await parseRecord(line, domain).catch((error) => {
      throw renamed("directory_fork", error);
    });
    if (entry.number !== number + 1 || entry.previous !== previous) fork("a log entry does not follow the one before it");
    if (entry.kind === "directory") {
      const { version, digest: found } = under("directory_fork", () => directoryBody(entry.body));
      if (version === pin.version) {
        if (found !== pin.digest) fork("the log has another directory of the pinned version");
        seen = true;
      }
    }
    [number, previous] = [entry.number, entry.digest];
  }
  if (number < directory.logNumber) {
    const missing = `the log since the pinned directory is withheld, from number ${number + 1} on`;
    throw new UnavailableError("directory_unlinked", missing, { retryAfterS: 30 });
  }
  if (previous !== directory.logDigest) fork("the log does not lead to the new directory");
  if (!seen) fork("the log lacks the pinned directory");
}

/**
 * Check a whole log: order, digests, times, signatures, and each `opened` by the policy at the entry's own time.
 * @param {Uint8Array[]} lines from number 0 on
 * @param {import("../attest/policy.js").Policy} policy
 * @returns {Promise<LogEntry[]>}
 */
export async function verifyLog(lines, policy) {
  const domain = policy.tee === "simulated" ? "simulated" : "hardware";
  /** @type {LogEntry[]} */
  const entries = [];
  /** @type {Uint8Array | null} */
  let signer = null;
  for (const line of lines) {
    const entry = await parseRecord(line, domain).catch((error) => {
      throw renamed("log_chain", error);
    });
    const last = entries.at(-1);
    const follows = entry.number === entries.length && entry.previous === (last?.digest ?? null) && entry.atMs >= (last?.atMs ?? 0);
    if (!follows) throw new VerificationError("log_chain", `log entry ${entry.number} does not follow the one before it`);
    if (last === undefined && entry.kind !== "opened") throw new VerificationError("log_opened", "the log does not say which key broker opened it");
    if (entry.kind === "opened") signer = await openedBy(entry, policy);
    if (signer === null) throw new TypeError("an opened entry has a signer");
    const signed = concat(label(domain, "log head"), Uint8Array.from(entry.digest.match(/../g) ?? [], (each) => parseInt(each, 16)));
    if (!(await verifyEd25519(signer, entry.signature, signed))) {
      throw new VerificationError("log_signature", `log entry ${entry.number} is not signed by the key broker`);
    }
    entries.push(entry);
  }
  if (entries.length === 0) throw new VerificationError("log_chain", "the log is empty");
  return entries;
}

/** @param {LogEntry} entry @param {import("../attest/policy.js").Policy} policy */
async function openedBy(entry, policy) {
  const body = under("log_opened", () =>
    readObject(entry.body, "an opened entry", {
      required: { deployment: string, manifest_digest: digest, evidence: (value) => readEvidence(value) }, open: true,
    }),
  );
  const { bound } = await appraise(body.evidence, policy, entry.atMs, { nonce: ZERO_NONCE });
  if (body.deployment !== bound.deployment || body.manifest_digest !== bound.manifestDigest) {
    throw new VerificationError("log_opened", "the log was opened for another deployment");
  }
  return bound.signingKey;
}

/**
 * Check that a pinned directory is in a whole log.
 * @param {LogEntry[]} entries
 * @param {import("./pin.js").Pin} pin
 */
export function requirePinned(entries, pin) {
  const published = entries.some((each) => {
    if (each.kind !== "directory" || each.number <= pin.logNumber) return false;
    const { version, digest: found } = under("log_chain", () => directoryBody(each.body));
    return version === pin.version && found === pin.digest;
  });
  const fits = entries[0]?.digest === pin.history && entries[pin.logNumber]?.digest === pin.logDigest && published;
  if (!fits) throw new VerificationError("log_pin", "the pinned directory is not in the log");
}
