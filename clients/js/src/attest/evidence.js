/** Evidence, bound claims and report data, all of it unverified (attestation.md, 1 and 2). */

import { concat, lengthPrefixed, utf8 } from "../base/bytes.js";
import { MalformedError, under, VerificationError } from "../base/errors.js";
import { base64, base64AtMost, digest, id, integer, name, oneOf, printable, readObject } from "../base/forms.js";
import { parseObject } from "../base/json.js";
import { sha512 } from "../crypto/primitives.js";
import { findSuite, label } from "../seal/suites.js";

const MAX_QUOTE = 16 * 1024;
const MAX_BOUND = 8 * 1024;
const MAX_COLLATERAL = 512 * 1024;
export const PROTOCOL = "sealflow/1";
export const ZERO_NONCE = "0".repeat(64);
const tee = oneOf("sgx", "tdx", "snp", "simulated");

/** @typedef {"sgx" | "tdx" | "snp" | "simulated"} Tee */
/** @typedef {{tee: Tee, quote: Uint8Array, bound: Uint8Array, collateral: Uint8Array}} Evidence */
/**
 * @typedef {{role: "worker" | "keybroker", tee: Tee, deployment: string, instance: string, nonce: string, manifestDigest: string,
 *   sealingSuite: number, sealingKey: Uint8Array, signingKey: Uint8Array, software: string}} BoundClaims
 */

/** @param {any} value a JSON value @returns {Evidence} */
export function readEvidence(value) {
  return /** @type {any} */ (
    readObject(value, "the evidence", {
      required: { tee, quote: base64AtMost(MAX_QUOTE), bound: base64AtMost(MAX_BOUND), collateral: base64AtMost(MAX_COLLATERAL) },
      open: true,
      format: "required",
    })
  );
}

/** @param {any} value @param {string} what */
const protocol = (value, what) => {
  if (value !== PROTOCOL) throw new MalformedError(`${what} is not ${PROTOCOL}: a newer release may be needed`);
  return value;
};

/** @param {Uint8Array} bytes @returns {BoundClaims} */
export function parseBoundClaims(bytes) {
  const what = "the bound claims";
  const claims = readObject(parseObject(bytes, what), what, {
    required: {
      protocol, role: oneOf("worker", "keybroker"), tee, deployment: name, instance: id, nonce: digest,
      manifest_digest: digest, sealing_suite: integer(0, 0xffff), sealing_key: base64(), signing_key: base64(32),
      software: printable(0, 64),
    },
    optional: { serves: digest },
    open: true,
  });
  const { role, deployment, instance, nonce, software } = claims;
  return /** @type {BoundClaims} */ ({
    role, tee: claims.tee, deployment, instance, nonce, software, manifestDigest: claims.manifest_digest,
    sealingSuite: claims.sealing_suite, sealingKey: claims.sealing_key, signingKey: claims.signing_key,
  });
}

/** The sealing key must be one of a suite of the evidence's trust domain. @param {BoundClaims} claims */
export function checkSealingKey(claims) {
  const suite = findSuite(claims.sealingSuite);
  const domain = domainOf(claims.tee);
  if (suite?.domain !== domain || suite.kem.publicLength !== claims.sealingKey.length) {
    throw new VerificationError("bound_claims", "the sealing key is not of a known suite of its trust domain");
  }
}

/** @param {Tee} of */
export const domainOf = (of) => (of === "simulated" ? "simulated" : "hardware");

/** @param {Uint8Array} bound @param {string} role @param {import("../seal/suites.js").TrustDomain} domain */
export const reportData = (bound, role, domain) =>
  sha512(concat(label(domain, "report"), lengthPrefixed(utf8(role)), lengthPrefixed(bound)));

/** @param {Evidence} evidence */
export const boundClaimsOf = (evidence) => under("bound_claims", () => parseBoundClaims(evidence.bound));

