/**
 * Strict JSON (envelope.md, section 2): one spelling of what is not allowed, for all documents.
 *
 * Objects have no prototype, so `__proto__` is a key as any other. An integer is a `number`, or a `bigint`
 * beyond 2^53-1. In messages (`numbers: "data"`), a number with a fraction or an exponent, and `-0`, is a
 * `Decimal`, so that a reader can still tell it from an integer.
 */

import { fromUtf8, utf8 } from "./bytes.js";
import { MalformedError } from "./errors.js";

const MAX_DEPTH = 32;
const MAX_INTEGER_CHARACTERS = 20;
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const HEX4 = /^[0-9a-fA-F]{4}$/;
const ESCAPES = /** @type {Record<string, string>} */ ({
  '"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t",
});

/** A number that is no integer literal. */
export class Decimal {
  /** @param {number} value */
  constructor(value) {
    this.value = value;
  }
}

/**
 * @typedef {null | boolean | string | number | bigint | Decimal | JsonObject | Array<any>} Json
 * @typedef {{[key: string]: any}} JsonObject
 */

/**
 * Read one JSON object.
 * @param {Uint8Array} bytes
 * @param {string} what what it is, for messages
 * @param {{numbers?: "integers" | "data"}} [options]
 * @returns {JsonObject}
 */
export function parseObject(bytes, what, { numbers = "integers" } = {}) {
  return parseObjectText(fromUtf8(bytes, what), what, { numbers });
}

/**
 * @param {string} text
 * @param {string} what
 * @param {{numbers?: "integers" | "data"}} [options]
 * @returns {JsonObject}
 */
export function parseObjectText(text, what, { numbers = "integers" } = {}) {
  const reader = new Reader(text, what, numbers === "data");
  reader.space();
  if (text[reader.at] !== "{") reader.fail("is not a JSON object");
  const value = reader.value(0);
  reader.space();
  if (reader.at !== text.length) reader.fail("has something behind its JSON");
  return value;
}

class Reader {
  /** @param {string} text @param {string} what @param {boolean} decimals */
  constructor(text, what, decimals) {
    this.text = text;
    this.what = what;
    this.decimals = decimals;
    this.at = 0;
  }

  /** @param {string} reason @returns {never} */
  fail(reason) {
    throw new MalformedError(`${this.what} ${reason} (at character ${this.at})`);
  }

  space() {
    const { text } = this;
    for (;;) {
      const code = text.charCodeAt(this.at);
      if (code !== 32 && code !== 10 && code !== 13 && code !== 9) return;
      this.at++;
    }
  }

  /** @param {number} depth @returns {any} */
  value(depth) {
    switch (this.text[this.at]) {
      case "{":
        return this.object(depth + 1);
      case "[":
        return this.array(depth + 1);
      case '"':
        return this.string();
      case "t":
        return this.word("true", true);
      case "f":
        return this.word("false", false);
      case "n":
        return this.word("null", null);
      default:
        return this.number();
    }
  }

  /** @template T @param {string} word @param {T} value */
  word(word, value) {
    if (!this.text.startsWith(word, this.at)) this.fail("is not JSON");
    this.at += word.length;
    return value;
  }

  /** @param {number} depth */
  enter(depth) {
    if (depth > MAX_DEPTH) this.fail(`is nested more than ${MAX_DEPTH} deep`);
    this.at++;
    this.space();
  }

  /** Step over a comma (true) or the end (false). @param {string} end */
  more(end) {
    this.space();
    const found = this.text[this.at];
    if (found !== "," && found !== end) this.fail("is not JSON");
    this.at++;
    this.space();
    return found === ",";
  }

  /** @param {number} depth @returns {JsonObject} */
  object(depth) {
    this.enter(depth);
    const object = Object.create(null);
    if (this.text[this.at] === "}") {
      this.at++;
      return object;
    }
    do {
      if (this.text[this.at] !== '"') this.fail("is not JSON");
      const key = this.string();
      if (key in object) this.fail(`has the key ${JSON.stringify(key)} twice`);
      this.space();
      if (this.text[this.at] !== ":") this.fail("is not JSON");
      this.at++;
      this.space();
      object[key] = this.value(depth);
    } while (this.more("}"));
    return object;
  }

  /** @param {number} depth @returns {any[]} */
  array(depth) {
    this.enter(depth);
    /** @type {any[]} */
    const array = [];
    if (this.text[this.at] === "]") {
      this.at++;
      return array;
    }
    do array.push(this.value(depth));
    while (this.more("]"));
    return array;
  }

  string() {
    const { text } = this;
    this.at++;
    let value = "";
    for (;;) {
      PLAIN.lastIndex = this.at;
      const [plain] = /** @type {RegExpExecArray} */ (PLAIN.exec(text));
      value += plain;
      this.at += plain.length;
      const found = text[this.at++];
      if (found === '"') break;
      if (found !== "\\") this.fail("has a string without an end, or a control character in one");
      value += this.escape();
    }
    if (!value.isWellFormed()) this.fail("has a lone surrogate");
    return value;
  }

  escape() {
    const found = this.text[this.at++];
    if (found === "u") {
      const digits = this.text.slice(this.at, this.at + 4);
      if (!HEX4.test(digits)) this.fail("has a wrong escape");
      this.at += 4;
      return String.fromCharCode(parseInt(digits, 16));
    }
    if (!Object.hasOwn(ESCAPES, found ?? "")) this.fail("has a wrong escape");
    return ESCAPES[found];
  }

  number() {
    NUMBER.lastIndex = this.at;
    const match = NUMBER.exec(this.text);
    if (match === null) this.fail("is not JSON");
    const [literal, fraction, exponent] = match;
    this.at += literal.length;
    if (fraction === undefined && exponent === undefined) return this.integer(literal);
    if (!this.decimals) this.fail("has a number that is not an integer");
    return this.decimal(literal);
  }

  /** @param {string} literal */
  integer(literal) {
    if (literal.length > MAX_INTEGER_CHARACTERS) this.fail("has an integer of more than 20 characters");
    if (literal === "-0") return this.decimals ? new Decimal(-0) : this.fail("has -0");
    const value = Number(literal);
    return Number.isSafeInteger(value) ? value : BigInt(literal);
  }

  /** @param {string} literal */
  decimal(literal) {
    const value = Number(literal);
    if (!Number.isFinite(value)) this.fail("has a number that is not finite");
    return new Decimal(value);
  }
}

/**
 * Write canonical JSON: sorted keys, no white space, ASCII.
 * @param {any} value
 * @returns {string}
 */
export function canonicalText(value) {
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    const keys = Object.keys(value).sort();
    return `{${keys.map((key) => `${quoted(key)}:${canonicalText(value[key])}`).join(",")}}`;
  }
  if (typeof value === "string") return quoted(value);
  if (typeof value === "bigint" || Number.isSafeInteger(value)) return String(value);
  if (typeof value === "boolean" || value === null) return String(value);
  throw new TypeError("canonical JSON holds integers, strings, booleans and null alone");
}

/** @param {any} value */
export const canonicalJson = (value) => utf8(canonicalText(value));

/** @param {string} text */
function quoted(text) {
  return JSON.stringify(text).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
