/** DER (X.690), as much as certificates and revocation lists need: definite lengths in their shortest form. */

import { MalformedError } from "../base/errors.js";

export const SEQUENCE = 0x30;
export const SET = 0x31;
export const BOOLEAN = 0x01;
export const INTEGER = 0x02;
export const BIT_STRING = 0x03;
export const OCTET_STRING = 0x04;
export const OID = 0x06;
export const ENUMERATED = 0x0a;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;

/** @param {string} reason @returns {never} */
const fail = (reason) => {
  throw new MalformedError(reason);
};

/** One element: its tag, its content, and all of its bytes. */
export class Element {
  /** @param {number} tag @param {Uint8Array} content @param {Uint8Array} whole */
  constructor(tag, content, whole) {
    this.tag = tag;
    this.content = content;
    this.whole = whole;
  }

  /** The elements inside. @returns {Element[]} */
  children() {
    /** @type {Element[]} */
    const found = [];
    for (let at = 0; at < this.content.length; at += found[found.length - 1].whole.length) {
      found.push(readElement(this.content.subarray(at)));
    }
    return found;
  }

  /** @param {number} tag @param {string} what @returns {Element} this */
  expect(tag, what) {
    return this.tag === tag ? this : fail(`${what} has another type`);
  }
}

/** Read the first element. @param {Uint8Array} bytes */
function readElement(bytes) {
  if (bytes.length < 2 || (bytes[0] & 31) === 31) fail("DER ends early");
  let [length, head] = [bytes[1], 2];
  if (length & 128) {
    const count = length & 127;
    if (count === 0 || count > 3 || bytes.length < 2 + count) fail("DER has a wrong length");
    length = 0;
    for (; head < 2 + count; head++) length = length * 256 + bytes[head];
    if (length < 128 || (count > 1 && length < 2 ** (8 * (count - 1)))) fail("DER has a length that is not the shortest");
  }
  if (head + length > bytes.length) fail("DER ends early");
  return new Element(bytes[0], bytes.subarray(head, head + length), bytes.subarray(0, head + length));
}

/** Read one element and nothing behind it. @param {Uint8Array} bytes */
export function parseDer(bytes) {
  const element = readElement(bytes);
  return element.whole.length === bytes.length ? element : fail("DER has something behind it");
}

/** @param {Element} element @returns {string} in dotted form */
export function oid(element) {
  const { content } = element.expect(OID, "an object identifier");
  if (content.length === 0 || content[content.length - 1] & 128) fail("an object identifier is wrong");
  /** @type {number[]} */
  const parts = [];
  let value = 0;
  for (const byte of content) {
    value = value * 128 + (byte & 127);
    if (value > 2 ** 40) fail("an object identifier is too large");
    if (!(byte & 128)) {
      parts.push(value);
      value = 0;
    }
  }
  const first = Math.min(2, Math.floor(parts[0] / 40));
  return [first, parts[0] - 40 * first, ...parts.slice(1)].join(".");
}

/** A small integer. @param {Element} element */
export function smallInteger(element) {
  const { content } = element;
  if ((element.tag !== INTEGER && element.tag !== ENUMERATED) || content.length === 0 || content.length > 5) fail("an integer is wrong");
  if (content[0] & 128) fail("an integer is negative");
  if (content.length > 1 && content[0] === 0 && !(content[1] & 128)) fail("an integer is not the shortest");
  return content.reduce((value, byte) => value * 256 + byte, 0);
}

/** @param {Element} element */
export function boolean(element) {
  const { content } = element.expect(BOOLEAN, "a truth value");
  if (content.length !== 1 || (content[0] !== 0 && content[0] !== 255)) fail("a truth value is wrong");
  return content[0] === 255;
}

/** A bit string of whole bytes. @param {Element} element */
export function bitString(element) {
  const { content } = element.expect(BIT_STRING, "a bit string");
  return content[0] === 0 ? content.subarray(1) : fail("a bit string is not of whole bytes");
}

/** @param {Element} element */
export const isTime = ({ tag }) => tag === UTC_TIME || tag === GENERALIZED_TIME;

/** A time, in milliseconds since 1970. @param {Element} element */
export function timeMs(element) {
  const text = String.fromCharCode(...element.content);
  const pattern = element.tag === UTC_TIME ? /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/ : /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;
  const match = isTime(element) ? pattern.exec(text) : null;
  if (match === null) fail("a time is wrong");
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number);
  const full = element.tag === UTC_TIME ? year + (year < 50 ? 2000 : 1900) : year;
  const moment = Date.UTC(full, month - 1, day, hour, minute, second);
  const again = new Date(moment);
  if (again.getUTCMonth() !== month - 1 || again.getUTCDate() !== day || hour > 23 || minute > 59 || second > 59) fail("a time is wrong");
  return moment;
}

/**
 * The r and s of an ECDSA signature, each of `size` bytes.
 * @param {Uint8Array} der
 * @param {number} size
 */
export function ecdsaSignature(der, size) {
  const parts = parseDer(der).expect(SEQUENCE, "a signature").children();
  if (parts.length !== 2) fail("a signature is wrong");
  const whole = new Uint8Array(2 * size);
  parts.forEach((part, number) => {
    const { content } = part.expect(INTEGER, "a signature");
    if (content.length === 0 || content[0] & 128) fail("a signature is wrong");
    if (content.length > 1 && content[0] === 0 && !(content[1] & 128)) fail("a signature is wrong");
    const digits = content[0] === 0 ? content.subarray(1) : content;
    if (digits.length > size) fail("a signature is wrong");
    whole.set(digits, (number + 1) * size - digits.length);
  });
  return whole;
}
