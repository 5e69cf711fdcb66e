/** Intel's verdict on a platform: which level of TCB info and QE identity applies (Intel's PCS documentation). */

import { toHex } from "../base/bytes.js";
import { VerificationError } from "../base/errors.js";

/** @typedef {import("./intel-collateral.js").TcbVerdict} TcbVerdict */

/** All statuses that a policy may be asked about. */
export const TCB_STATUSES = Object.freeze([
  "UpToDate", "SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded", "OutOfDate",
  "OutOfDateConfigurationNeeded", "TDRelaunchAdvised", "TDRelaunchAdvisedConfigurationNeeded",
]);

/** @param {string} reason @returns {never} */
const refuse = (reason) => {
  throw new VerificationError("quote", reason);
};

/** @param {Uint8Array} value @param {Uint8Array} mask @param {Uint8Array} expected */
const masked = (value, mask, expected) => value.every((byte, at) => (byte & mask[at]) === (expected[at] & mask[at]));

/** @param {ArrayLike<number>} have @param {number[]} need @param {number} [from] */
const reaches = (have, need, from = 0) => need.every((svn, at) => at < from || have[at] >= svn);

/** @template {{isvSvn: number}} T @param {T[]} levels @param {number} svn @returns {T | undefined} */
const isvLevel = (levels, svn) => levels.find((level) => svn >= level.isvSvn);

/** @param {TcbVerdict} verdict @returns {TcbVerdict} */
function known(verdict) {
  if (verdict.status === "Revoked") refuse("Intel revoked the TCB of this platform");
  if (!TCB_STATUSES.includes(verdict.status)) {
    throw new VerificationError("tcb_status", `the TCB status ${JSON.stringify(verdict.status)} is unknown`);
  }
  return verdict;
}

/**
 * The quoting enclave is the one that Intel describes.
 * @param {import("./intel-collateral.js").QeIdentity} identity
 * @param {import("./quote.js").SgxReport} report
 * @param {"sgx" | "tdx"} tee
 * @returns {TcbVerdict}
 */
export function judgeQuotingEnclave(identity, report, tee) {
  if (identity.id !== (tee === "sgx" ? "QE" : "TD_QE")) refuse("the QE identity is of another kind");
  const misc = (report.miscSelect & identity.miscMask) === (identity.miscSelect & identity.miscMask);
  const fits =
    misc &&
    masked(report.attributes, identity.mask, identity.attributes) &&
    report.mrSigner === identity.mrSigner &&
    report.productId === identity.productId;
  if (!fits) refuse("the quoting enclave is not Intel's");
  return known(isvLevel(identity.levels, report.svn) ?? refuse("no level fits the quoting enclave"));
}

/**
 * @param {import("./intel-collateral.js").TcbInfo} info
 * @param {import("./intel-pck.js").Platform} platform
 * @param {import("./quote.js").Quote} quote
 * @returns {TcbVerdict}
 */
export function judgePlatform(info, platform, quote) {
  if (info.id !== (quote.tee === "sgx" ? "SGX" : "TDX")) refuse("the TCB info is of other hardware");
  if (info.fmspc !== platform.fmspc || info.pceId !== platform.pceId) refuse("the TCB info is of another platform");
  const { tdx } = quote;
  const from = tdx !== null && tdx.teeTcbSvn[1] > 0 ? 2 : 0; // then the module's own levels judge the first two
  const level = info.levels.find(
    (each) =>
      reaches(platform.components, each.sgx) &&
      platform.pceSvn >= each.pceSvn &&
      (tdx === null || reaches(tdx.teeTcbSvn, each.tdx ?? [], from)),
  );
  const found = known(level ?? refuse("no TCB level fits the platform"));
  return tdx === null ? found : withModule(found, judgeModule(info, tdx));
}

/** The module that made a trust domain. @param {import("./intel-collateral.js").TcbInfo} info @param {import("./quote.js").TdxReport} tdx @returns {TcbVerdict | null} */
function judgeModule(info, tdx) {
  const version = tdx.teeTcbSvn[1];
  const id = `TDX_${toHex(Uint8Array.of(version))}`;
  const form = version === 0 ? info.module : info.modules.find((each) => each.id.toLowerCase() === id.toLowerCase());
  if (form === null || form === undefined) refuse("the TDX module is not known to the TCB info");
  if (form.mrSigner !== tdx.seamSigner || !masked(tdx.seamAttributes, form.mask, form.attributes)) refuse("the TDX module is not Intel's");
  if (!("levels" in form)) return null;
  const levels = /** @type {import("./intel-collateral.js").IsvLevel[]} */ (form.levels);
  return known(isvLevel(levels, tdx.teeTcbSvn[0]) ?? refuse("no level fits the TDX module"));
}

/** The lower one of platform and module. @param {TcbVerdict} platform @param {TcbVerdict | null} module @returns {TcbVerdict} */
function withModule(platform, module) {
  if (module === null) return platform;
  const advisories = [...new Set([...platform.advisories, ...module.advisories])];
  if (module.status === "UpToDate") return { status: platform.status, advisories };
  if (module.status !== "OutOfDate") return { status: module.status, advisories };
  const configuration = platform.status.includes("Configuration");
  return { status: configuration ? "OutOfDateConfigurationNeeded" : "OutOfDate", advisories };
}
