/** Policies: what a user demands of a service (docs/reference/policy-files.md). They are closed: an unknown key is an error. */

import { utf8 } from "../base/bytes.js";
import { ConfigError, MalformedError } from "../base/errors.js";
import { base64AtMost, boolean, codePoints, digest, integer, isObject, list, name, oneOf, readObject, string } from "../base/forms.js";
import { parseObject } from "../base/json.js";
import { TCB_STATUSES } from "./intel-tcb.js";
import { PRODUCT_PARTS } from "./snp-report.js";
import { readVerifiers } from "./verifiers.js";
import { readLogDemands } from "./witnesses.js";

const MAX_BYTES = 64 * 1024;
const MAX_ITEMS = 256;
const MAX_ROOT_BYTES = 4096;
const MAX_AGE_S = 316_224_000;
const MAX_EVALUATION = 2_147_483_648;
const DAY = 86_400;
const DEFAULT_AGE_S = 30 * DAY;
const ACCEPTABLE = TCB_STATUSES.filter((status) => !status.startsWith("OutOfDate"));
export const REGISTERS = Object.freeze(["rtmr0", "rtmr1", "rtmr2", "rtmr3", "mr_config_id", "mr_owner", "mr_owner_config"]);

/**
 * @typedef {object} Demands
 * @property {Set<string>} measurements
 * @property {Set<string>} signers empty: any
 * @property {number | null} productId
 * @property {number} minSvn
 * @property {boolean} insecureSignerOnly
 * @property {Set<string>} tcbStatuses
 * @property {Set<string>} advisories
 * @property {Set<string>} platformFlags
 * @property {number} maxCollateralAgeS
 * @property {number} minTcbEvaluation
 * @property {{fromMs: number, untilMs: number, reason: string} | null} outOfDate
 * @property {{registers: Record<string, Set<string>>, unchecked: Set<string>} | null} tdx
 * @property {{minTcb: Record<string, Record<string, number>>, hostData: Set<string>, vmpl: number, authorKeys: Set<string>,
 *   insecureNoRevocations: boolean, insecureAnyTcb: boolean} | null} snp
 */

/** @typedef {"x-wing" | "x25519"} SuiteName */
/** All suites, in the order in which clients prefer them unless their policy has another. @type {readonly SuiteName[]} */
const SUITE_NAMES = Object.freeze(["x-wing", "x25519"]);

/**
 * @typedef {object} Policy
 * @property {"sgx" | "tdx" | "snp" | "simulated"} tee
 * @property {string} deployment
 * @property {string} manifestDigest
 * @property {Map<string, Set<string>> | null} models digests of packages by name
 * @property {Map<string, Set<string>> | null} owners keys by name; "*" is every other name
 * @property {import("./verifiers.js").Verifier[]} verifiers
 * @property {readonly SuiteName[]} suites to seal by, the preferred one first
 * @property {import("./witnesses.js").LogDemands | null} log whose cosignatures a directory's log must have
 * @property {boolean} shareBatch whether requests may share batches with other clients' requests
 * @property {Demands} keybroker
 * @property {Demands | null} worker
 * @property {Uint8Array | null} simulatedRoot DER, in a simulation alone
 */

/** @param {string} reason @returns {never} */
const fail = (reason) => {
  throw new MalformedError(reason);
};

/** @param {number} digits @returns {import("../base/forms.js").Form<string>} */
const hexDigits = (digits) => (value, what) =>
  typeof value === "string" && value.length === digits && /^[0-9a-f]+$/.test(value) ? value : fail(`${what} is not ${digits} hex digits`);

/** @type {import("../base/forms.js").Form<string>} */
const measurement = (value, what) => hexDigits(value?.length === 96 ? 96 : 64)(value, what);

/** @type {import("../base/forms.js").Form<string>} */
const advisory = (value, what) => (/^INTEL-SA-[0-9]{5}$/.test(string(value, what)) ? value : fail(`${what} is no advisory`));

/** @template T @param {import("../base/forms.js").Form<T>} form @returns {import("../base/forms.js").Form<Set<T>>} */
const setOf = (form) => (value, what) => new Set(list(form, MAX_ITEMS)(value, what));

/** @param {any} value @param {string} what */
function outOfDate(value, what) {
  const { until, reason } = readObject(value, what, { required: { until: string, reason: string }, open: false });
  const last = /^\d{4}-\d\d-\d\d$/.test(until) ? Date.parse(`${until}T00:00:00Z`) : NaN;
  if (Number.isNaN(last) || new Date(last).toISOString().slice(0, 10) !== until) fail(`${what}: until is no date`);
  if (codePoints(reason) < 1 || codePoints(reason) > 200) fail(`${what}: reason is not 1 to 200 characters`);
  const untilMs = last + 1000 * DAY; // the last day is included, in UTC
  return { untilMs, fromMs: last - 30 * 1000 * DAY, reason };
}

/** @param {any} value @param {string} what */
function tdxDemands(value, what) {
  const registers = Object.fromEntries(REGISTERS.map((each) => [each, setOf(hexDigits(96))]));
  const read = readObject(value, what, {
    required: {}, optional: { ...registers, insecure_unchecked_registers: setOf(oneOf(...REGISTERS)) }, open: false,
  });
  const unchecked = read.insecure_unchecked_registers ?? new Set();
  for (const each of REGISTERS.slice(0, 3)) {
    if (!read[each]?.size && !unchecked.has(each)) fail(`${what}: ${each} needs values`);
  }
  return { registers: Object.fromEntries(REGISTERS.map((each) => [each, read[each] ?? new Set()])), unchecked };
}

/** @param {any} value @param {string} what */
function snpDemands(value, what) {
  /** @param {readonly string[]} parts @returns {import("../base/forms.js").Form<Record<string, number>>} */
  const versions = (parts) => (each, where) =>
    readObject(each, where, { required: Object.fromEntries(parts.map((part) => [part, integer(0, 255)])), open: false });
  /** @type {import("../base/forms.js").Form<Record<string, Record<string, number>>>} */
  const minTcb = (each, where) => {
    const optional = Object.fromEntries(Object.entries(PRODUCT_PARTS).map(([product, parts]) => [product, versions(parts)]));
    return readObject(each, where, { required: {}, optional, open: false });
  };
  const read = readObject(value, what, {
    required: {},
    optional: {
      min_tcb: minTcb, host_data: setOf(digest), vmpl: integer(0, 3), author_keys: setOf(hexDigits(96)),
      insecure_no_revocations: boolean, insecure_any_tcb: boolean,
    },
    open: false,
  });
  if (!Object.keys(read.min_tcb ?? {}).length && !read.insecure_any_tcb) fail(`${what}: min_tcb names no product line`);
  return {
    minTcb: read.min_tcb ?? {},
    hostData: read.host_data ?? new Set(),
    vmpl: read.vmpl ?? 0,
    authorKeys: read.author_keys ?? new Set(),
    insecureNoRevocations: read.insecure_no_revocations ?? false,
    insecureAnyTcb: read.insecure_any_tcb ?? false,
  };
}

/** One table of demands. @param {any} value @param {string} what @returns {Demands} */
export function readDemands(value, what) {
  const read = readObject(value, what, {
    required: {},
    optional: {
      measurements: setOf(measurement), signers: setOf(measurement), product_id: integer(0, 0xffff),
      min_svn: integer(0, 0xffff), insecure_signer_only: boolean, tcb_statuses: setOf(oneOf(...ACCEPTABLE)),
      advisories: setOf(advisory), platform_flags: setOf(oneOf("dynamic_platform", "cached_keys", "smt_enabled", "aliases_unchecked")),
      max_collateral_age_s: integer(0, MAX_AGE_S), min_tcb_evaluation: integer(0, MAX_EVALUATION),
      insecure_out_of_date: outOfDate, tdx: tdxDemands, snp: snpDemands,
    },
    open: false,
  });
  const demands = {
    measurements: read.measurements ?? new Set(),
    signers: read.signers ?? new Set(),
    productId: read.product_id ?? null,
    minSvn: read.min_svn ?? 0,
    insecureSignerOnly: read.insecure_signer_only ?? false,
    tcbStatuses: read.tcb_statuses?.size ? read.tcb_statuses : new Set(["UpToDate"]),
    advisories: read.advisories ?? new Set(),
    platformFlags: read.platform_flags ?? new Set(),
    maxCollateralAgeS: read.max_collateral_age_s ?? DEFAULT_AGE_S,
    minTcbEvaluation: read.min_tcb_evaluation ?? 0,
    outOfDate: read.insecure_out_of_date ?? null,
    tdx: read.tdx ?? null,
    snp: read.snp ?? null,
  };
  if (demands.insecureSignerOnly) {
    const named = demands.signers.size > 0 && demands.productId !== null && demands.minSvn > 0;
    if (!named || demands.measurements.size > 0) fail(`${what}: insecure_signer_only needs signers, product_id, min_svn, and no measurements`);
  } else if (demands.measurements.size === 0) {
    fail(`${what}: measurements are missing`);
  }
  return demands;
}

/** @param {any} value @param {string} what @returns {SuiteName[]} */
const readSuites = (value, what) => {
  const suites = list(oneOf(...SUITE_NAMES), SUITE_NAMES.length, 1)(value, what);
  if (new Set(suites).size !== suites.length) fail(`${what} is not a list of different names`);
  return /** @type {SuiteName[]} */ (suites);
};

/** A table of digests or keys by name. @param {any} value @param {string} what @param {import("../base/forms.js").Form<string>} [key] */
function readByName(value, what, key = name) {
  if (!isObject(value)) fail(`${what} is no table`);
  const found = Object.keys(value).map((each) => /** @type {[string, Set<string>]} */ ([key(each, what), setOf(digest)(value[each], `${what}: ${each}`)]));
  if (found.some(([, texts]) => texts.size === 0)) fail(`${what}: a list is empty`);
  return found.length ? new Map(found) : null;
}
/** @type {import("../base/forms.js").Form<string>} */
const nameOrAny = (value, what) => (value === "*" ? value : name(value, what));

/** Accepted lengths of measurements, and which tables fit. @param {Demands} demands @param {string} tee @param {string} what */
function checkFits(demands, tee, what) {
  if (tee === "simulated") return;
  const digits = tee === "sgx" ? 64 : 96;
  const texts = [...demands.measurements, ...demands.signers];
  if (texts.some((text) => text.length !== digits)) fail(`${what}: a digest is not of ${digits} hex digits, as those of ${tee}`);
  if (tee !== "sgx" && (demands.insecureSignerOnly || demands.productId !== null)) fail(`${what}: insecure_signer_only and product_id are for sgx alone`);
  if ((demands.tdx !== null) !== (tee === "tdx")) fail(`${what}: the table tdx is for tdx, which needs it`);
  if ((demands.snp !== null) !== (tee === "snp")) fail(`${what}: the table snp is for snp, which needs it`);
}

/** @param {any} value JSON without prototypes @returns {Policy} */
function readPolicy(value) {
  const what = "the policy";
  const read = readObject(value, what, {
    required: {
      tee: oneOf("sgx", "tdx", "snp", "simulated"), deployment: name, manifest_digest: digest,
      keybroker: (each) => readDemands(each, "the policy: keybroker"),
    },
    optional: {
      worker: (each) => readDemands(each, "the policy: worker"), models: (each) => readByName(each, "the policy: models"),
      owners: (each) => readByName(each, "the policy: owners", nameOrAny), insecure_simulated_root: base64AtMost(MAX_ROOT_BYTES),
      suites: readSuites, verifiers: readVerifiers, share_batch: boolean, log: readLogDemands,
    },
    open: false,
    format: "optional",
  });
  const root = read.insecure_simulated_root ?? null;
  if ((read.tee === "simulated") !== (root !== null)) fail("the policy: insecure_simulated_root is for simulations, and they need it");
  checkFits(read.keybroker, read.tee, "the policy: keybroker");
  if (read.worker !== undefined) checkFits(read.worker, read.tee, "the policy: worker");
  return {
    tee: read.tee, deployment: read.deployment, manifestDigest: read.manifest_digest, models: read.models ?? null, owners: read.owners ?? null,
    suites: read.suites ?? SUITE_NAMES, verifiers: read.verifiers ?? [], shareBatch: read.share_batch ?? false, log: read.log ?? null,
    keybroker: read.keybroker, worker: read.worker ?? null, simulatedRoot: root,
  };
}

/**
 * Read a policy: an object with the keys of a policy file, or its JSON.
 * @param {object | string | Uint8Array} policy
 * @returns {Policy}
 */
export function parsePolicy(policy) {
  const text = policy instanceof Uint8Array ? policy : utf8(typeof policy === "string" ? policy : JSON.stringify(policy));
  if (text.length > MAX_BYTES) throw new ConfigError("the policy is too large");
  try {
    return readPolicy(parseObject(text, "the policy"));
  } catch (error) {
    if (error instanceof MalformedError) throw new ConfigError(error.message, error.code === "format" ? "format" : "config");
    throw error;
  }
}

