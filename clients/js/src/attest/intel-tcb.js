/** Intel's verdict on a platform: which levels of TCB info and QE identity apply (quotes.md, 4.5 and 4.7 to 4.11). */

import { toHex } from "../base/bytes.js";
import { VerificationError } from "../base/errors.js";

/** @typedef {import("./intel-collateral.js").TcbVerdict} TcbVerdict */
/** @typedef {import("./intel-collateral.js").TcbInfo} TcbInfo */

/** All statuses that a policy may be asked about. */
export const TCB_STATUSES = Object.freeze([
  "UpToDate", "SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded", "OutOfDate",
  "OutOfDateConfigurationNeeded", "TDRelaunchAdvised", "TDRelaunchAdvisedConfigurationNeeded",
]);
const PLATFORM = [
  "UpToDate", "OutOfDate", "ConfigurationNeeded", "SWHardeningNeeded", "ConfigurationAndSWHardeningNeeded",
  "OutOfDateConfigurationNeeded", "Revoked",
];
const MODULE = ["UpToDate", "OutOfDate", "Revoked"];
const ENCLAVE = ["UpToDate", "OutOfDate", "ConfigurationNeeded", "OutOfDateConfigurationNeeded", "Revoked"];
/** What a component that is out of date makes of a platform's status. */
const LOWERED = /** @type {Record<string, string>} */ ({
  UpToDate: "OutOfDate", SWHardeningNeeded: "OutOfDate", ConfigurationNeeded: "OutOfDateConfigurationNeeded",
  ConfigurationAndSWHardeningNeeded: "OutOfDateConfigurationNeeded",
});

/** @param {string} reason @returns {never} */
const refuse = (reason) => {
  throw new VerificationError("quote", reason);
};

/** @param {Uint8Array} value @param {Uint8Array} mask @param {Uint8Array} expected */
const masked = (value, mask, expected) => value.every((byte, at) => (byte & mask[at]) === (expected[at] & mask[at]));

/** @param {ArrayLike<number>} have @param {number[]} need @param {number} [from] */
const reaches = (have, need, from = 0) => need.every((svn, at) => at < from || have[at] >= svn);

/** @template {TcbVerdict} T @param {T | undefined} level @param {string[]} statuses @param {string} what @returns {T} */
function used(level, statuses, what) {
  if (level === undefined) refuse(`no level fits ${what}`);
  return statuses.includes(level.status) ? level : refuse(`the status of ${what} is unknown: ${JSON.stringify(level.status)}`);
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
  return used(identity.levels.find((level) => report.svn >= level.isvSvn), ENCLAVE, "the quoting enclave");
}

/**
 * @param {TcbInfo} info
 * @param {import("./intel-pck.js").Platform} platform
 * @param {import("./quote.js").Quote} quote
 * @param {TcbVerdict} enclave the quoting enclave's
 * @returns {TcbVerdict}
 */
export function judgePlatform(info, platform, quote, enclave) {
  if (info.id !== (quote.tee === "sgx" ? "SGX" : "TDX")) refuse("the TCB info is of other hardware");
  if (info.fmspc !== platform.fmspc) refuse("the TCB info is of another platform");
  const { tdx } = quote;
  const first = judgeOnce(info, platform, tdx, tdx?.teeTcbSvn ?? null, enclave);
  if (tdx === null || tdx.teeTcbSvn2 === null) return first;
  const second = judgeOnce(info, platform, tdx, tdx.teeTcbSvn2, enclave);
  return { status: relaunched(first.status, second.status), advisories: first.advisories };
}

/** A trust domain that was made by an old module, while the machine has a newer one. @param {string} first @param {string} second */
function relaunched(first, second) {
  if (!first.startsWith("OutOfDate") || second.startsWith("OutOfDate")) return first;
  return [first, second].some((each) => each.includes("Configuration")) ? "TDRelaunchAdvisedConfigurationNeeded" : "TDRelaunchAdvised";
}

/** @param {TcbInfo} info @param {import("./intel-pck.js").Platform} platform @param {import("./quote.js").TdxReport | null} tdx @param {Uint8Array | null} svns of the TDX module and its TCB @param {TcbVerdict} enclave */
function judgeOnce(info, platform, tdx, svns, enclave) {
  const from = svns !== null && svns[1] > 0 ? 2 : 0; // then the module's own levels judge the first two
  const fits = info.levels.find(
    (each) =>
      reaches(platform.cpuSvn, each.sgx) && platform.pceSvn >= each.pceSvn && (svns === null || reaches(svns, each.tdx, from)),
  );
  const level = used(fits, PLATFORM, "the platform");
  const module = tdx === null || svns === null ? null : judgeModule(info, tdx, svns);
  const parts = module === null ? [enclave] : [module, enclave];
  const status = parts.reduce((found, { status: each }) => lowered(found, each), level.status);
  if (status === "Revoked") refuse("Intel revoked the TCB of this platform");
  return { status, advisories: [...new Set([level, ...parts].flatMap((each) => each.advisories))].sort() };
}

/** @param {string} status of the platform @param {string} part a component's */
function lowered(status, part) {
  if (part === "Revoked" || status === "Revoked") return "Revoked";
  return part === "OutOfDate" ? (LOWERED[status] ?? status) : status;
}

/** The module that made a trust domain; null where it has no levels of its own. @param {TcbInfo} info @param {import("./quote.js").TdxReport} tdx @param {Uint8Array} svns @returns {TcbVerdict | null} */
function judgeModule(info, tdx, svns) {
  const id = `TDX_${toHex(svns.subarray(1, 2))}`;
  const own = info.modules.find((each) => each.id.toLowerCase() === id.toLowerCase());
  const form = svns[1] === 0 ? info.module : own;
  if (form === null || form === undefined) refuse("the TDX module is not known to the TCB info");
  const outside = tdx.seamAttributes.some((byte, at) => byte & ~form.mask[at]);
  if (form.mrSigner !== tdx.seamSigner || outside || !masked(tdx.seamAttributes, form.mask, form.attributes)) refuse("the TDX module is not Intel's");
  return svns[1] === 0 ? null : used(own?.levels.find((level) => svns[0] >= level.isvSvn), MODULE, "the TDX module");
}
