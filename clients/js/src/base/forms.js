/**
 * Forms of values in documents, and objects that are open or closed to unknown keys.
 *
 * A form is a function of a value and of what it is called; it gives the value read, or raises a
 * `MalformedError`.
 * @template T @typedef {(value: any, what: string) => T} Form
 */

import { fromBase64, fromHex } from "./bytes.js";
import { MalformedError } from "./errors.js";

/** The version of all JSON documents that this package reads and writes. */
export const FORMAT = 1;
export const MAX_TIME_MS = Number.MAX_SAFE_INTEGER;
const MAX_CRITICAL = 16;

/** @param {string} what @param {string} reason @returns {never} */
const fail = (what, reason) => {
  throw new MalformedError(`${what} ${reason}`);
};

/** @param {RegExp} pattern @param {string} reason @returns {Form<string>} */
const matching = (pattern, reason) => (value, what) =>
  typeof value === "string" && pattern.test(value) ? value : fail(what, reason);

export const name = matching(/^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$/, "is not a name");
export const id = matching(/^[0-9a-f]{32}$/, "is not 32 hex digits");
export const digest = matching(/^[0-9a-f]{64}$/, "is not 64 hex digits");
export const kid = matching(/^(?:sim-)?[0-9a-f]{64}$/, "is not a key id");

/** @param {number} least @param {number} most @returns {Form<number>} */
export const integer = (least, most) => (value, what) =>
  Number.isSafeInteger(value) && value >= least && value <= most
    ? value
    : fail(what, `is not an integer from ${least} to ${most}`);

export const time = integer(0, MAX_TIME_MS);

/** @type {Form<boolean>} */
export const boolean = (value, what) => (typeof value === "boolean" ? value : fail(what, "is not true or false"));

/** @type {Form<string>} */
export const string = (value, what) => (typeof value === "string" ? value : fail(what, "is not a string"));

/** @param {number} [length] @returns {Form<Uint8Array<ArrayBuffer>>} */
export const base64 = (length) => (value, what) => {
  const bytes = fromBase64(string(value, what), what);
  return length === undefined || bytes.length === length ? bytes : fail(what, `is not ${length} bytes`);
};

/** At most so many bytes; the text's length is checked before it is decoded. @param {number} most @returns {Form<Uint8Array<ArrayBuffer>>} */
export const base64AtMost = (most) => (value, what) => {
  if (typeof value === "string" && value.length > 4 * Math.ceil(most / 3)) fail(what, "is too large");
  const bytes = base64()(value, what);
  return bytes.length <= most ? bytes : fail(what, "is too large");
};

/** @param {number} length @returns {Form<Uint8Array<ArrayBuffer>>} */
export const hex = (length) => (value, what) => {
  const bytes = fromHex(string(value, what), what);
  return bytes.length === length ? bytes : fail(what, `is not ${length} bytes in hex`);
};

/** @template T @param {Form<T>} form @returns {Form<T | null>} */
export const nullable = (form) => (value, what) => (value === null ? null : form(value, what));

/** @template T @param {Form<T>} form @param {number} most @param {number} [least] @returns {Form<T[]>} */
export const list = (form, most, least = 0) => (value, what) => {
  if (!Array.isArray(value) || value.length > most || value.length < least) {
    fail(what, `is not a list of ${least} to ${most}`);
  }
  return value.map((/** @type {any} */ each, /** @type {number} */ at) => form(each, `${what}[${at}]`));
};

/** @param {...string} values @returns {Form<string>} */
export const oneOf = (...values) => (value, what) =>
  values.includes(value) ? value : fail(what, `is not one of ${values.join(", ")}`);

/** @param {string} value */
export const codePoints = (value) => {
  let count = 0;
  for (const _ of value) count++;
  return count;
};

/** Of several code points the last two of each plane, private and unassigned ones, controls, blanks. */
const UNPRINTABLE =
  /[\u{0}-\u{1f}\u{7f}-\u{a0}\u{ad}\u{61c}\u{1680}\u{180e}\u{2000}-\u{200f}\u{2028}-\u{202f}\u{205f}-\u{206f}\u{3000}\u{d800}-\u{dfff}\u{e000}-\u{f8ff}\u{fdd0}-\u{fdef}\u{feff}\u{fff0}-\u{fffb}\u{e0000}-\u{e0fff}\u{f0000}-\u{10ffff}]/u;

/** @param {string} value */
function printableText(value) {
  if (UNPRINTABLE.test(value)) return false;
  for (const each of value) if ((/** @type {number} */ (each.codePointAt(0)) & 0xfffe) === 0xfffe) return false;
  return true;
}

/** A peer's words as one line of at most `most` printable characters. @param {string} text @param {number} most */
export const asLine = (text, most) => [...text.slice(0, 2 * most)].slice(0, most).map((each) => (printableText(each) ? each : " ")).join("");

/** @param {number} least @param {number} most characters (code points) @returns {Form<string>} */
export const printable = (least, most) => (value, what) => {
  const text = string(value, what);
  const length = codePoints(text);
  if (length < least || length > most) fail(what, `is not ${least} to ${most} characters long`);
  return printableText(text) ? text : fail(what, "has characters that cannot be printed");
};

/** @param {any} value @returns {boolean} */
export const isObject = (value) =>
  typeof value === "object" && value !== null && !Array.isArray(value) && Object.getPrototypeOf(value) === null;

/** An object that is read later. @type {Form<any>} */
export const anyObject = (value, what) => (isObject(value) ? value : fail(what, "is not an object"));

/**
 * The forms of an object's keys. `optional` ones may be absent. An `open` object may have other keys, which are
 * ignored, unless its key `critical` names them; a closed one may not.
 * @typedef {{required: Record<string, Form<any>>, optional?: Record<string, Form<any>>, open: boolean,
 *   format?: "required" | "optional"}} Shape
 */

/**
 * Read an object by its shape; keys that are not in it are left out.
 * @param {any} value
 * @param {string} what
 * @param {Shape} shape
 * @returns {Record<string, any>}
 */
export function readObject(value, what, { required, optional = {}, open, format }) {
  if (!isObject(value)) fail(what, "is not an object");
  if (format !== undefined) checkFormat(value, what, format);
  /** @param {string} key */
  const known = (key) =>
    Object.hasOwn(required, key) || Object.hasOwn(optional, key) || (key === "format" && format !== undefined);
  if (open) checkCritical(value, what, (key) => Object.hasOwn(required, key), (key) => Object.hasOwn(optional, key));
  else for (const key in value) if (!known(key)) fail(what, `has the unknown key ${JSON.stringify(key)}`);
  for (const key in required) if (!(key in value)) fail(what, `lacks ${key}`);
  /** @type {Record<string, any>} */
  const read = {};
  for (const key in required) {
    read[key] = required[key](value[key], `${what}: ${key}`);
  }
  for (const key in optional) {
    if (key in value) read[key] = optional[key](value[key], `${what}: ${key}`);
  }
  return read;
}

/** @param {Shape} shape @returns {Form<Record<string, any>>} */
export const object = (shape) => (value, what) => readObject(value, what, shape);

/** @param {any} value @param {string} what @param {"required" | "optional"} format */
function checkFormat(value, what, format) {
  if (!("format" in value)) {
    if (format === "optional") return;
    fail(what, "lacks format");
  }
  if (value.format === FORMAT) return;
  if (!Number.isInteger(value.format) && typeof value.format !== "bigint") fail(what, "has a format that is no integer");
  throw new MalformedError(`${what} is of format ${value.format}: a newer release is needed`, "format");
}

/**
 * @param {any} value
 * @param {string} what
 * @param {(key: string) => boolean} isRequired
 * @param {(key: string) => boolean} isOptional
 */
function checkCritical(value, what, isRequired, isOptional) {
  if (!("critical" in value)) return;
  const names = list(string, MAX_CRITICAL, 1)(value.critical, `${what}: critical`);
  const wrong = names.some((each) => ["critical", "format"].includes(each) || isRequired(each) || !(each in value));
  if (wrong || new Set(names).size !== names.length) fail(what, "has a wrong list critical");
  const unknown = names.filter((each) => !isOptional(each));
  if (unknown.length === 0) return;
  throw new MalformedError(`${what} needs a newer release, for ${unknown.join(", ")}`, "critical");
}
