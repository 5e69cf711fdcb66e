/** Comparison of claims with a policy: what evidence and passports have in common (attestation.md, 4). */

import { REGISTERS } from "./policy.js";

/** @typedef {import("../base/errors.js").Mismatch} Mismatch */
/** @typedef {import("./policy.js").Demands} Demands */

/** Collects mismatches. */
export class Comparison {
  constructor() {
    /** @type {Mismatch[]} */
    this.mismatches = [];
  }

  /** @param {boolean} fits @param {string} code @param {string} field @param {unknown} expected @param {unknown} got */
  check(fits, code, field, expected, got) {
    if (!fits) this.mismatches.push({ code, field, expected: text(expected), got: text(got) });
  }

  /** @param {bigint} value @param {bigint} needed @param {bigint} allowed @param {string} code */
  bits(value, needed, allowed, code) {
    const fits = (value & needed) === needed && (value & ~allowed) === 0n;
    this.check(fits, code, "", `bits ${needed.toString(16)}, of ${allowed.toString(16)}`, value.toString(16));
  }
}

/** @param {unknown} value @returns {string} */
function text(value) {
  if (value instanceof Set) return value.size ? [...value].join(" or ") : "zero";
  return Array.isArray(value) ? value.join(", ") || "none" : String(value);
}

/** @param {Comparison} comparison @param {import("./evidence.js").BoundClaims} bound @param {import("./policy.js").Policy} policy @param {string} role @param {string} nonce */
export function compareBound(comparison, bound, policy, role, nonce) {
  comparison.check(bound.role === role, "role", "", role, bound.role);
  comparison.check(bound.tee === policy.tee, "tee", "tee", policy.tee, bound.tee);
  comparison.check(bound.deployment === policy.deployment, "deployment", "deployment", policy.deployment, bound.deployment);
  comparison.check(bound.manifestDigest === policy.manifestDigest, "manifest_digest", "manifest_digest", policy.manifestDigest, bound.manifestDigest);
  comparison.check(bound.nonce === nonce, "nonce", "", nonce, bound.nonce);
}

/** @param {Comparison} comparison @param {string} measurement @param {string} signer @param {number} svn @param {import("./policy.js").Demands} demands */
export function compareCode(comparison, measurement, signer, svn, demands) {
  const { measurements, signers, minSvn, insecureSignerOnly } = demands;
  comparison.check(insecureSignerOnly || measurements.has(measurement), "measurement", "measurements", measurements, measurement);
  comparison.check(signers.size === 0 || signers.has(signer), "signer", "signers", signers, signer);
  comparison.check(svn >= minSvn, "svn", "min_svn", `at least ${minSvn}`, svn);
}

/** @param {Comparison} comparison @param {{tcbStatus: string, qeStatus: string, advisories: string[]}} claims @param {Demands} demands @param {number} nowMs */
export function compareStatuses(comparison, claims, demands, nowMs) {
  const { outOfDate, tcbStatuses } = demands;
  const excepted = outOfDate !== null && nowMs >= outOfDate.fromMs && nowMs < outOfDate.untilMs;
  /** @param {string} status */
  const accepted = (status) => tcbStatuses.has(status) || (excepted && status.startsWith("OutOfDate"));
  comparison.check(accepted(claims.tcbStatus), "tcb_status", "tcb_statuses", tcbStatuses, claims.tcbStatus);
  comparison.check(accepted(claims.qeStatus), "qe_status", "tcb_statuses", tcbStatuses, claims.qeStatus);
  const open = claims.advisories.filter((each) => !demands.advisories.has(each));
  comparison.check(open.length === 0, "advisories", "advisories", [...demands.advisories], open);
}

/** The seven registers of a trust domain. @param {Comparison} comparison @param {string[]} values @param {Demands} demands */
export function compareRegisters(comparison, values, demands) {
  if (demands.tdx === null) return comparison.check(false, "tee", "tdx", "a policy without a table tdx", "TDX");
  const { registers, unchecked } = demands.tdx;
  REGISTERS.forEach((register, at) => {
    const listed = registers[register];
    const free = at >= 3 && listed.size === 0; // firmware, kernel and command line must be listed
    const fits = unchecked.has(register) || (free ? /^0+$/.test(values[at]) : listed.has(values[at]));
    comparison.check(fits, register, `tdx.${register}`, listed, values[at]);
  });
}

/** @param {Comparison} comparison @param {number | null} issuedMs @param {Demands} demands @param {number} nowMs */
export function compareAge(comparison, issuedMs, demands, nowMs) {
  if (issuedMs === null) return;
  const ageS = Math.floor((nowMs - issuedMs) / 1000);
  comparison.check(ageS <= demands.maxCollateralAgeS, "collateral_age", "max_collateral_age_s", `at most ${demands.maxCollateralAgeS} s`, `${ageS} s`);
}
