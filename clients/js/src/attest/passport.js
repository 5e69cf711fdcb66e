/** Passports: what a verifier that the policy names signed about a key broker (passport.md). */

import { toHex, utf8 } from "../base/bytes.js";
import { MalformedError, PolicyError, under, VerificationError } from "../base/errors.js";
import { digest, integer, isObject, list, name, nullable, oneOf, readObject, string, time } from "../base/forms.js";
import { parseObject } from "../base/json.js";
import { sha256 } from "../crypto/primitives.js";
import { Comparison, compareAge, compareBound, compareCode, compareRegisters, compareStatuses } from "./comparison.js";
import { ZERO_NONCE } from "./evidence.js";
import { REGISTERS } from "./policy.js";
import { fromBase64Url, verifies } from "./verifiers.js";

const MAX_CHARACTERS = 16_384;
const MAX_SECONDS = 604_800;
const EARLY_MS = 300_000;
const PROFILE = "tag:ietf.org,2026:rats/ear#04";
const ALGORITHMS = { Ed25519: ["EdDSA", "Ed25519"], "P-256": ["ES256"] };
const STATUSES = ["none", "affirming", "warning", "contraindicated"];

/** @typedef {import("./verifiers.js").Verifier} Verifier */
/**
 * A passport whose signature and times are good.
 * @typedef {object} Passport
 * @property {string} verifier its name in the policy
 * @property {string} status
 * @property {number} startsMs
 * @property {number} endsMs
 * @property {Record<string, any>} claims of Sealflow
 */

const seconds = integer(0, Math.floor(Number.MAX_SAFE_INTEGER / 1000));
/** @type {import("../base/forms.js").Form<string>} */
const hexText = (value, what) => {
  if (/^(?:[0-9a-f]{64}|[0-9a-f]{96})$/.test(string(value, what))) return value;
  throw new MalformedError(`${what} is no digest`);
};
/** @type {import("../base/forms.js").Form<Record<string, string>>} */
const registers = (value, what) => {
  if (!isObject(value)) throw new MalformedError(`${what} is not an object`);
  return Object.fromEntries(Object.keys(value).map((key) => [key, string(value[key], what)]));
};

const shape = /** @type {const} */ ({
  required: {
    bound_digest: digest, role: oneOf("worker", "keybroker"), tee: oneOf("sgx", "tdx", "snp", "simulated"), deployment: name,
    manifest_digest: digest, form: oneOf("sgx", "tdx", "snp"), measurement: hexText,
    signer: (/** @type {any} */ value, /** @type {string} */ what) => (value === "" ? value : hexText(value, what)),
    svn: integer(0, 0xffffffff), product_id: nullable(integer(0, 0xffff)), registers, tcb_status: string, qe_status: string,
    advisories: list(string, 256), collateral_issued_ms: time,
  },
  open: true,
  format: "required",
});

/** @param {string} token @param {Verifier} verifier */
function split(token, verifier) {
  if (token.length > MAX_CHARACTERS) throw new MalformedError("the passport is too long");
  const parts = token.split(".");
  if (parts.length !== 3) throw new MalformedError("the passport is not of three parts");
  const [header, claims, signature] = parts.map((part) => fromBase64Url(part, "a part of the passport"));
  const what = "the passport's header";
  readObject(parseObject(header, what), what, {
    required: { alg: oneOf(...ALGORITHMS[verifier.key.kind]), typ: oneOf("eat+jwt") }, optional: { kid: string }, open: false,
  });
  return { claims, signature, signed: utf8(`${parts[0]}.${parts[1]}`) };
}

/** The claims of an EAT: others than these are ignored. @param {Uint8Array} bytes */
function readClaims(bytes) {
  const claims = parseObject(bytes, "the passport");
  if (claims.eat_profile !== PROFILE) throw new MalformedError("the passport is of another profile");
  if ("aud" in claims) throw new MalformedError("the passport is for one reader alone");
  const [iat, exp] = [seconds(claims.iat, "iat"), seconds(claims.exp, "exp")];
  if (exp - iat < 1 || exp - iat > MAX_SECONDS) throw new MalformedError("the passport lasts too long, or not at all");
  const nbf = "nbf" in claims ? seconds(claims.nbf, "nbf") : iat;
  for (const key of ["developer", "build"]) string(claims.ear_verifier_id?.[key], `ear_verifier_id: ${key}`);
  const sub = isObject(claims.submods) ? claims.submods.keybroker : undefined;
  if (!isObject(sub)) throw new MalformedError("the passport is about no key broker");
  const status = oneOf(...STATUSES)(sub.ear_status, "ear_status");
  const own = /** @type {Record<string, any>} */ (readObject(sub.sealflow_passport, "sealflow_passport", shape));
  return { startsMs: 1000 * Math.max(iat, nbf), endsMs: 1000 * exp, status, claims: own };
}

/**
 * Check form, signature and times of a passport by one verifier's key.
 * @param {string} token
 * @param {Verifier} verifier
 * @param {number} nowMs
 * @returns {Promise<Passport>}
 */
export async function verifyPassport(token, verifier, nowMs) {
  const parts = under("passport", () => split(token, verifier));
  if (!(await verifies(verifier.key, parts.signature, parts.signed))) {
    throw new VerificationError("passport_signature", "another key than the verifier's signed the passport");
  }
  const read = under("passport", () => readClaims(parts.claims));
  if (read.startsMs > nowMs + EARLY_MS) throw new VerificationError("passport_early", "the passport is from the future");
  if (read.endsMs <= nowMs) throw new VerificationError("passport_expired", "the passport is expired");
  return { verifier: verifier.name, ...read };
}

/**
 * Compare a passport with the bound claims beside the directory, and with the policy.
 * @param {Passport} passport
 * @param {Uint8Array} boundBytes
 * @param {import("./evidence.js").BoundClaims} bound
 * @param {import("./policy.js").Policy} policy
 * @param {number} nowMs
 */
export async function acceptPassport({ claims, status }, boundBytes, bound, policy, nowMs) {
  const about = claims.bound_digest === toHex(await sha256(boundBytes)) && claims.role === bound.role && claims.tee === bound.tee &&
    claims.deployment === bound.deployment && claims.manifest_digest === bound.manifestDigest;
  if (!about) throw new VerificationError("passport_bound", "the passport is about another key broker");
  const demands = policy.keybroker;
  const comparison = new Comparison();
  compareBound(comparison, bound, policy, "keybroker", ZERO_NONCE);
  if (policy.tee !== "simulated") {
    const good = status === "affirming" || status === "warning";
    comparison.check(good, "passport_status", "", "affirming or warning", status);
    comparison.check(bound.tee !== policy.tee || claims.form === policy.tee, "tee", "tee", policy.tee, claims.form);
  }
  compareCode(comparison, claims.measurement, claims.signer, claims.svn, demands);
  const product = demands.productId === null || claims.product_id === demands.productId;
  comparison.check(product, "product_id", "product_id", demands.productId, claims.product_id);
  if (claims.form === "tdx") compareRegisters(comparison, REGISTERS.map((each) => claims.registers[each] ?? ""), demands);
  if (claims.form === "snp" && demands.snp === null) comparison.check(false, "tee", "snp", "a policy without a table snp", "SNP");
  const statuses = { tcbStatus: claims.tcb_status, qeStatus: claims.qe_status, advisories: claims.advisories };
  if (claims.form !== "snp") compareStatuses(comparison, statuses, demands, nowMs);
  compareAge(comparison, claims.collateral_issued_ms, demands, nowMs);
  if (comparison.mismatches.length) throw new PolicyError(comparison.mismatches);
}

/**
 * The passports that count for a policy, one at most of each verifier.
 * @param {string[]} tokens
 * @param {Uint8Array} boundBytes
 * @param {import("./evidence.js").BoundClaims} bound
 * @param {import("./policy.js").Policy} policy
 * @param {number} nowMs
 * @returns {Promise<{accepted: Passport[], insteadOfEvidence: boolean}>}
 */
export async function judgePassports(tokens, boundBytes, bound, policy, nowMs) {
  /** @type {Passport[]} */
  const accepted = [];
  let insteadOfEvidence = false;
  for (const verifier of policy.verifiers) {
    const { passport, refusal } = await firstAcceptable(tokens, verifier, boundBytes, bound, policy, nowMs);
    if (passport !== null) accepted.push(passport);
    else if (!verifier.insteadOfEvidence) {
      throw refusal ?? new VerificationError("passport_missing", `there is no passport of ${verifier.name}`);
    }
    insteadOfEvidence ||= verifier.insteadOfEvidence && passport !== null;
  }
  return { accepted, insteadOfEvidence };
}

/** @param {string[]} tokens @param {Verifier} verifier @param {Uint8Array} boundBytes @param {import("./evidence.js").BoundClaims} bound @param {import("./policy.js").Policy} policy @param {number} nowMs */
async function firstAcceptable(tokens, verifier, boundBytes, bound, policy, nowMs) {
  /** @type {VerificationError | null} */
  let refusal = null;
  for (const token of tokens) {
    try {
      const passport = await verifyPassport(token, verifier, nowMs);
      await acceptPassport(passport, boundBytes, bound, policy, nowMs);
      return { passport, refusal: null };
    } catch (error) {
      if (!(error instanceof VerificationError)) throw error;
      const foreign = error.code === "passport_signature" || error.code === "passport"; // who signed it is not known
      if (!foreign) refusal ??= error;
    }
  }
  return { passport: null, refusal };
}
