/** Appraisal: verified evidence compared with a policy (attestation.md, 3 and 4). It yields all mismatches. */

import { allZero, equal, toHex } from "../base/bytes.js";
import { PolicyError, VerificationError } from "../base/errors.js";
import { Comparison, compareAge, compareBound, compareCode, compareRegisters, compareStatuses } from "./comparison.js";
import { boundClaimsOf, checkSealingKey, domainOf, reportData, ZERO_NONCE } from "./evidence.js";
import { verifyIntelQuote } from "./intel.js";
import { quoteTee } from "./quote.js";
import { SNP_REPORT_BYTES } from "./snp-report.js";
import { verifySnpReport } from "./snp.js";

/** @typedef {import("./evidence.js").BoundClaims} BoundClaims */
/** @typedef {import("./claims.js").HardwareClaims} HardwareClaims */
/** What was approved: by evidence, or by passports in its place. @typedef {{bound: BoundClaims, hardware: HardwareClaims | null, passports: import("./passport.js").Passport[], witnesses?: string[], validUntilMs: number}} Approval */

const SGX_NEEDED = 0x1n | 0x4n; // INIT, MODE64BIT
const SGX_ALLOWED = SGX_NEEDED | 0x40n | 0x80n | 0x400n; // CET, KSS, AEXNOTIFY
const XSAVE_NEEDED = 0x3n; // x87, SSE
const XFRM_ALLOWED = 0x61affn; // also AVX, MPX, AVX-512, PKRU, CET, AMX
const XFAM_ALLOWED = 0x6dbe7n; // also AVX, AVX-512, PT, PKRU, CET, UINTR, LBR, AMX
const MISC_ALLOWED = 0x3; // EXINFO, CPINFO
const TDX_NEEDED = 1n << 28n; // SEPT_VE_DISABLE
const TDX_ALLOWED = TDX_NEEDED | (1n << 27n) | (1n << 30n) | (1n << 31n); // LASS, PKS, KL
const SNP_ALIASES_CHECKED = 1n << 5n;
/** By CPUID family, model and stepping in hex, the first microcode that takes no forged updates (docs/spec/attestation.md, 4.6). @type {Record<string, number>} */
const FIRST_SAFE_MICROCODE = { "190101": 0xdb, "190102": 0x44, "191101": 0x54, "191102": 0x4f, "19a002": 0x19 };
const SNP_SMT = 1n << 16n;
const SNP_NEEDED = 1n << 17n; // always set
const SNP_ALLOWED = 0x1ffffn | SNP_NEEDED | (0x3dn << 20n); // without MIGRATE_MA, DEBUG, CXL_ALLOW and what is reserved

/**
 * Verify evidence up to the maker's root: a function of evidence, root and time.
 * @param {import("./evidence.js").Evidence} evidence
 * @param {Uint8Array | null} simulatedRoot the root of a simulation; null for hardware
 * @param {number} nowMs
 * @returns {Promise<{bound: BoundClaims, hardware: HardwareClaims}>}
 */
export async function verifyEvidence(evidence, simulatedRoot, nowMs) {
  const bound = boundClaimsOf(evidence);
  const domain = domainOf(evidence.tee);
  const form = evidence.tee === "snp" || evidence.quote.length === SNP_REPORT_BYTES ? "snp" : quoteTee(evidence.quote);
  if (bound.tee !== evidence.tee || (domain === "simulated") !== (simulatedRoot !== null) || (domain === "hardware" && form !== evidence.tee)) {
    throw new VerificationError("world", "the evidence is of another trust domain or hardware than the policy, or than it says");
  }
  const verify = form === "snp" ? verifySnpReport : verifyIntelQuote;
  const hardware = await verify(evidence.quote, evidence.collateral, simulatedRoot, nowMs);
  if (!equal(hardware.reportData, await reportData(evidence.bound, bound.role, domain))) {
    throw new VerificationError("report_data", "the quote was not made for these claims");
  }
  return { bound, hardware };
}

/**
 * Verify evidence and compare it with a policy.
 * @param {import("./evidence.js").Evidence} evidence
 * @param {import("./policy.js").Policy} policy
 * @param {number} nowMs
 * @param {{role?: "keybroker" | "worker", nonce?: string, sealingKey?: boolean}} [more]
 * @returns {Promise<Approval>}
 */
export async function appraise(evidence, policy, nowMs, { role = "keybroker", nonce = ZERO_NONCE, sealingKey = true } = {}) {
  const demands = role === "keybroker" ? policy.keybroker : policy.worker;
  if (demands === null) throw new TypeError("the policy has no table worker");
  const { bound, hardware } = await verifyEvidence(evidence, policy.simulatedRoot, nowMs);
  const comparison = new Comparison();
  compareBound(comparison, bound, policy, role, nonce);
  if (hardware.kind === "snp") compareSnp(comparison, hardware, demands);
  else compareIntel(comparison, hardware, demands, nowMs);
  compareAge(comparison, hardware.collateralIssuedMs, demands, nowMs);
  if (comparison.mismatches.length) throw new PolicyError(comparison.mismatches);
  if (sealingKey) checkSealingKey(bound);
  const { collateralIssuedMs, collateralEndsMs } = hardware;
  const tooOldMs = collateralIssuedMs === null ? Infinity : collateralIssuedMs + 1000 * demands.maxCollateralAgeS;
  return { bound, hardware, passports: [], validUntilMs: Math.min(collateralEndsMs, tooOldMs) };
}

/** @param {Comparison} comparison @param {import("./claims.js").IntelClaims} claims @param {import("./policy.js").Demands} demands @param {number} nowMs */
function compareIntel(comparison, claims, demands, nowMs) {
  if (claims.sgx !== null) compareSgx(comparison, claims.sgx, demands);
  if (claims.tdx !== null) compareTdx(comparison, claims.tdx, demands);
  compareStatuses(comparison, claims, demands, nowMs);
  const flags = claims.platformFlags.filter((each) => !demands.platformFlags.has(each));
  comparison.check(flags.length === 0, "platform_flags", "platform_flags", [...demands.platformFlags], flags);
  const { minTcbEvaluation } = demands;
  comparison.check(claims.tcbEvaluation >= minTcbEvaluation, "tcb_evaluation", "min_tcb_evaluation", `at least ${minTcbEvaluation}`, claims.tcbEvaluation);
}

/** @param {Comparison} comparison @param {import("./quote.js").SgxReport} sgx @param {import("./policy.js").Demands} demands */
function compareSgx(comparison, sgx, demands) {
  compareCode(comparison, sgx.mrEnclave, sgx.mrSigner, sgx.svn, demands);
  comparison.check(demands.productId === null || sgx.productId === demands.productId, "product_id", "product_id", demands.productId, sgx.productId);
  comparison.bits(sgx.flags, SGX_NEEDED, SGX_ALLOWED, "attributes");
  comparison.bits(sgx.xfrm, XSAVE_NEEDED, XFRM_ALLOWED, "xfrm");
  comparison.check((sgx.miscSelect & ~MISC_ALLOWED) === 0, "misc_select", "", "EXINFO and CPINFO at most", sgx.miscSelect.toString(16));
  comparison.check(allZero(sgx.configId) && sgx.configSvn === 0, "config_id", "", "zero", `${toHex(sgx.configId)}, svn ${sgx.configSvn}`);
}

/** @param {Comparison} comparison @param {import("./quote.js").TdxReport} tdx @param {import("./policy.js").Demands} demands */
function compareTdx(comparison, tdx, demands) {
  compareCode(comparison, tdx.mrTd, "none", 0, demands);
  comparison.bits(tdx.attributes, TDX_NEEDED, TDX_ALLOWED, "attributes");
  comparison.bits(tdx.xfam, XSAVE_NEEDED, XFAM_ALLOWED, "xfam");
  comparison.check(/^0+$/.test(tdx.seamSigner), "seam_signer", "", "zero", tdx.seamSigner);
  comparison.check(allZero(tdx.seamAttributes), "seam_attributes", "", "zero", toHex(tdx.seamAttributes));
  const service = tdx.serviceTd ?? new Uint8Array(0);
  comparison.check(allZero(service), "service_td", "", "zero", toHex(service));
  compareRegisters(comparison, [...tdx.rtmr, tdx.mrConfigId, tdx.mrOwner, tdx.mrOwnerConfig], demands);
}

/** @param {Comparison} comparison @param {import("./claims.js").SnpClaims} claims @param {import("./policy.js").Demands} demands */
function compareSnp(comparison, { snp, product, reportedTcb, committedTcb, launchTcb, revocations }, demands) {
  compareCode(comparison, snp.measurement, snp.idKeyDigest, snp.guestSvn, demands);
  comparison.bits(snp.policy, SNP_NEEDED, SNP_ALLOWED, "guest_policy");
  const smt = (snp.policy & SNP_SMT) === 0n || demands.platformFlags.has("smt_enabled");
  comparison.check(smt, "platform_flags", "platform_flags", [...demands.platformFlags], "smt_enabled");
  const aliases = (snp.platformInfo & SNP_ALIASES_CHECKED) !== 0n || demands.platformFlags.has("aliases_unchecked");
  comparison.check(aliases, "platform_flags", "platform_flags", [...demands.platformFlags], "aliases_unchecked");
  comparison.check(revocations || demands.snp?.insecureNoRevocations === true, "revocations", "snp.insecure_no_revocations", "a revocation list", "none");
  if (demands.snp === null) return comparison.check(false, "tee", "snp", "a policy without a table snp", "SNP");
  const { minTcb, hostData, vmpl, authorKeys, insecureAnyTcb } = demands.snp;
  comparison.check(snp.vmpl === vmpl, "vmpl", "snp.vmpl", vmpl, snp.vmpl);
  const host = hostData.size ? hostData.has(snp.hostData) : /^0+$/.test(snp.hostData);
  comparison.check(host, "host_data", "snp.host_data", hostData, snp.hostData);
  const author = authorKeys.size ? authorKeys.has(snp.authorKeyDigest) : /^0+$/.test(snp.authorKeyDigest);
  comparison.check(author, "author_key", "snp.author_keys", authorKeys, snp.authorKeyDigest);
  const least = { ...minTcb[product] };
  if (!insecureAnyTcb) {
    comparison.check(Object.hasOwn(minTcb, product), "product", "snp.min_tcb", Object.keys(minTcb), product);
    least.microcode = Math.max(least.microcode ?? 0, FIRST_SAFE_MICROCODE[snp.cpu] ?? 0);
  }
  for (const [code, tcb] of /** @type {const} */ ([["reported_tcb", reportedTcb], ["committed_tcb", committedTcb], ["launch_tcb", launchTcb]])) {
    const low = Object.entries(least).filter(([part, version]) => (tcb[part] ?? 0) < version);
    comparison.check(low.length === 0, code, `snp.min_tcb.${product}`, JSON.stringify(least), JSON.stringify(tcb));
  }
}

