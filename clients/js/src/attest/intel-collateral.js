/** Intel's collateral (attestation.md, 6): what verifies a DCAP quote offline. Parsed, not verified. */

import { fromHex, toHex, utf8 } from "../base/bytes.js";
import { MalformedError } from "../base/errors.js";
import { readObject, string } from "../base/forms.js";
import { parseObject, parseObjectText } from "../base/json.js";
import { parsePem, RevocationList } from "./certificates.js";

const STRINGS = [
  "pck_crl_issuer_chain", "tcb_info_issuer_chain", "qe_identity_issuer_chain", "pck_crl", "root_ca_crl",
  "tcb_info", "qe_identity", "tcb_info_signature", "qe_identity_signature",
];
const SVNS = 16;
const VERSIONS = /** @type {Record<string, number>} */ ({ tcb_info: 3, qe_identity: 2 });
const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
const UTC_SECONDS = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

/** @typedef {import("./certificates.js").Certificate} Certificate */
/** @typedef {import("../base/json.js").JsonObject} JsonObject */
/** @typedef {{status: string, advisories: string[]}} TcbVerdict */
/** @typedef {TcbVerdict & {isvSvn: number}} IsvLevel */
/** @typedef {TcbVerdict & {sgx: number[], tdx: number[], pceSvn: number}} TcbLevel */
/** @typedef {{mrSigner: string, attributes: Uint8Array, mask: Uint8Array}} ModuleForm */
/** @typedef {{nextMs: number, evaluation: number}} Dates */
/**
 * @typedef {Dates & {id: string, fmspc: string, levels: TcbLevel[], module: ModuleForm | null,
 *   modules: Array<ModuleForm & {id: string, levels: IsvLevel[]}>}} TcbInfo
 */
/**
 * @typedef {Dates & {id: string, miscSelect: number, miscMask: number, attributes: Uint8Array, mask: Uint8Array, mrSigner: string,
 *   productId: number, levels: IsvLevel[]}} QeIdentity
 */
/** What Intel signed: JSON, whose content is read once its signature is checked. @typedef {{chain: Certificate[], bytes: Uint8Array, signature: Uint8Array, json: JsonObject, issuedMs: number}} SignedPart */
/** @typedef {{pckCrlChain: Certificate[], pckCrl: RevocationList, rootCrl: RevocationList, tcb: SignedPart, qe: SignedPart}} IntelCollateral */

/** @param {string} reason @returns {never} */
const fail = (reason) => {
  throw new MalformedError(`the collateral: ${reason}`);
};

/** A chain of exactly two different certificates: who signed, and the root. @param {string} text */
function chainOfTwo(text) {
  const chain = parsePem(text, { strict: true });
  return chain.length === 2 ? chain : fail("a chain is not of two certificates");
}

/** @param {string} text */
function signature(text) {
  const bytes = fromHex(text, "a signature in the collateral");
  return bytes.length === 64 ? bytes : fail("a signature has another length");
}

/** @param {Uint8Array} bytes @returns {IntelCollateral} */
export function parseIntelCollateral(bytes) {
  const what = "the collateral";
  const required = Object.fromEntries(STRINGS.map((key) => [key, string]));
  const parts = readObject(parseObject(bytes, what), what, { required, open: false });
  /** @param {string} name @returns {SignedPart} */
  const signed = (name) => {
    const json = parseObjectText(parts[name], name, { numbers: "data" });
    if (json.version !== VERSIONS[name]) fail(`${name} is of another version`);
    return {
      chain: chainOfTwo(parts[`${name}_issuer_chain`]),
      bytes: utf8(parts[name]),
      signature: signature(parts[`${name}_signature`]),
      json,
      issuedMs: moment(json.issueDate, "issueDate", UTC_SECONDS),
    };
  };
  return {
    pckCrlChain: chainOfTwo(parts.pck_crl_issuer_chain),
    pckCrl: new RevocationList(fromHex(parts.pck_crl, "pck_crl")),
    rootCrl: new RevocationList(fromHex(parts.root_ca_crl, "root_ca_crl")),
    tcb: ofThisType(signed("tcb_info")),
    qe: signed("qe_identity"),
  };
}

/** The type of TCB info says how its components are compared. @param {SignedPart} part */
const ofThisType = (part) => (part.json.tcbType === 0 ? part : fail("the TCB info is of another type"));

/** @param {any} value @param {string} what @param {number} most @returns {number} */
const number = (value, what, most) =>
  Number.isInteger(value) && value >= 0 && value <= most ? value : fail(`${what} is no number`);

/** Intel writes hex in both cases inside what it signs. @param {any} value @param {string} what @param {number} length */
const anyHex = (value, what, length) => {
  if (typeof value !== "string" || value.length !== 2 * length) fail(`${what} is not ${length} bytes in hex`);
  return fromHex(value.toLowerCase(), what);
};

/** @param {any} value @param {string} what @returns {any[]} */
const array = (value, what) => (Array.isArray(value) ? value : fail(`${what} is no list`));

/** @param {any} value @param {string} what @param {RegExp} form @returns {number} */
function moment(value, what, form) {
  const time = typeof value === "string" && form.test(value) ? Date.parse(value) : NaN;
  return Number.isNaN(time) ? fail(`${what} is no time`) : time;
}

/** @param {any} value @returns {TcbVerdict} */
function verdict(value) {
  const advisories = array(value.advisoryIDs ?? [], "advisoryIDs");
  if (typeof value.tcbStatus !== "string" || !advisories.every((each) => typeof each === "string")) fail("a level is wrong");
  return { status: value.tcbStatus, advisories };
}

/** @param {any} value @param {string} what */
function svns(value, what) {
  const list = array(value, what).map((each) => number(each?.svn, what, 255));
  return list.length === SVNS ? list : fail(`${what} are not 16`);
}

/** @param {JsonObject} value @returns {Dates} */
const dates = (value) => ({
  nextMs: moment(value.nextUpdate, "nextUpdate", RFC_3339),
  evaluation: number(value.tcbEvaluationDataNumber, "tcbEvaluationDataNumber", 2 ** 32),
});

/** @param {any} value @returns {IsvLevel[]} */
const isvLevels = (value) =>
  array(value, "tcbLevels").map((each) => ({ ...verdict(each), isvSvn: number(each.tcb?.isvsvn, "isvsvn", 0xffff) }));

/** @param {any} value @returns {ModuleForm} */
const moduleForm = (value) => ({
  mrSigner: toHex(anyHex(value.mrsigner, "mrsigner", 48)),
  attributes: anyHex(value.attributes, "attributes", 8),
  mask: anyHex(value.attributesMask, "attributesMask", 8),
});

/** Levels from the highest TCB to the lowest. @param {TcbLevel} a @param {TcbLevel} b */
function descending(a, b) {
  const [left, right] = [a, b].map((each) => [...each.sgx, each.pceSvn, ...each.tdx]);
  const at = left.findIndex((svn, index) => svn !== right[index]);
  return at < 0 ? 0 : right[at] - left[at];
}

/** @param {JsonObject} value @returns {TcbInfo} */
export function parseTcbInfo(value) {
  const tdx = value.id === "TDX";
  if (!tdx && value.id !== "SGX") fail("the TCB info is of another kind");
  const levels = array(value.tcbLevels, "tcbLevels").map((each) => ({
    ...verdict(each),
    sgx: svns(each.tcb?.sgxtcbcomponents, "sgxtcbcomponents"),
    tdx: tdx ? svns(each.tcb?.tdxtcbcomponents, "tdxtcbcomponents") : [],
    pceSvn: number(each.tcb?.pcesvn, "pcesvn", 0xffff),
  }));
  const modules = (tdx ? array(value.tdxModuleIdentities ?? [], "tdxModuleIdentities") : []).map((each) => {
    if (typeof each?.id !== "string") fail("a TDX module has no id");
    return { ...moduleForm(each), id: each.id, levels: isvLevels(each.tcbLevels) };
  });
  return {
    ...dates(value), id: value.id, modules,
    levels: levels.sort(descending),
    fmspc: toHex(anyHex(value.fmspc, "fmspc", 6)),
    module: tdx ? moduleForm(value.tdxModule ?? fail("tdxModule is missing")) : null,
  };
}

/** @param {JsonObject} value @returns {QeIdentity} */
export function parseQeIdentity(value) {
  if (value.id !== "QE" && value.id !== "TD_QE") fail("the QE identity is of another kind");
  const number32 = (/** @type {any} */ text, /** @type {string} */ what) => parseInt(toHex(anyHex(text, what, 4).reverse()), 16);
  return {
    ...dates(value), id: value.id,
    miscSelect: number32(value.miscselect, "miscselect"),
    miscMask: number32(value.miscselectMask, "miscselectMask"),
    attributes: anyHex(value.attributes, "attributes", 16),
    mask: anyHex(value.attributesMask, "attributesMask", 16),
    mrSigner: toHex(anyHex(value.mrsigner, "mrsigner", 32)),
    productId: number(value.isvprodid, "isvprodid", 0xffff),
    levels: isvLevels(value.tcbLevels),
  };
}
