/** Datatypes of tensors (content.md, 2 and 4), and elements between JSON and little-endian bytes. */

import { concat, utf8 } from "../base/bytes.js";
import { MalformedError } from "../base/errors.js";
import { Decimal } from "../base/json.js";

/** @typedef {{bytes: number, read?: (view: DataView, at: number) => any, write?: (view: DataView, at: number, value: any, what: string) => void}} Datatype */

/** @param {string} what @param {string} reason @returns {never} */
const fail = (what, reason) => {
  throw new MalformedError(`${what} ${reason}`);
};

/** @param {number} bits @param {boolean} signed @returns {Datatype} */
function integers(bits, signed) {
  const least = signed ? -(1n << BigInt(bits - 1)) : 0n;
  const most = least + (1n << BigInt(bits)) - 1n;
  const bytes = bits / 8;
  return {
    bytes,
    read(view, at) {
      if (bits === 64) return signed ? view.getBigInt64(at, true) : view.getBigUint64(at, true);
      if (bits === 32) return signed ? view.getInt32(at, true) : view.getUint32(at, true);
      if (bits === 16) return signed ? view.getInt16(at, true) : view.getUint16(at, true);
      return signed ? view.getInt8(at) : view.getUint8(at);
    },
    write(view, at, value, what) {
      if (typeof value !== "bigint" && !Number.isInteger(value)) fail(what, "has an element that is no integer");
      if (value < least || value > most) fail(what, "has an element out of range");
      if (bits === 64) view.setBigUint64(at, BigInt.asUintN(64, BigInt(value)), true);
      else if (bits === 32) view.setUint32(at, Number(value) >>> 0, true);
      else if (bits === 16) view.setUint16(at, Number(value) & 0xffff, true);
      else view.setUint8(at, Number(value) & 0xff);
    },
  };
}

/** Read a JSON number as binary64. @param {any} value @param {string} what */
function asNumber(value, what) {
  if (value instanceof Decimal) return value.value;
  if (typeof value === "number") return value;
  return typeof value === "bigint" ? Number(value) : fail(what, "has an element that is no number");
}

/** Round binary64 to binary16, ties to even. @param {number} value @returns {number} its 16 bits */
export function toHalf(value) {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (Number.isNaN(size)) return 0x7e00;
  if (size >= 65520) return sign | 0x7c00;
  const exponent = Math.max(-14, Math.floor(Math.log2(size)));
  // log2 may be off by one close to a power of two
  const fixed = size >= 2 ** (exponent + 1) ? exponent + 1 : size < 2 ** exponent && exponent > -14 ? exponent - 1 : exponent;
  const scaled = size / 2 ** (fixed - 10);
  let rounded = Math.floor(scaled);
  const rest = scaled - rounded;
  if (rest > 0.5 || (rest === 0.5 && rounded % 2)) rounded++;
  return sign | (((fixed + 14) << 10) + rounded);
}

/** @param {number} bits */
export function fromHalf(bits) {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24);
}

/** @param {string} what @param {number} number @param {boolean} finite */
const demandFinite = (what, number, finite) => {
  if (Number.isFinite(number) && !finite) fail(what, "has an element that is not finite in its datatype");
};

/** @type {Readonly<Record<string, Datatype>>} */
export const DATATYPES = Object.freeze({
  BOOL: {
    bytes: 1,
    read: (view, at) => view.getUint8(at) === 1,
    write: (view, at, value, what) => {
      if (typeof value !== "boolean") fail(what, "has an element that is not true or false");
      view.setUint8(at, value ? 1 : 0);
    },
  },
  UINT8: integers(8, false), UINT16: integers(16, false), UINT32: integers(32, false), UINT64: integers(64, false),
  INT8: integers(8, true), INT16: integers(16, true), INT32: integers(32, true), INT64: integers(64, true),
  FP16: {
    bytes: 2,
    read: (view, at) => fromHalf(view.getUint16(at, true)),
    write: (view, at, value, what) => {
      const number = asNumber(value, what);
      const bits = toHalf(number);
      demandFinite(what, number, (bits & 0x7c00) !== 0x7c00);
      view.setUint16(at, bits, true);
    },
  },
  FP32: {
    bytes: 4,
    read: (view, at) => view.getFloat32(at, true),
    write: (view, at, value, what) => {
      const number = asNumber(value, what);
      demandFinite(what, number, Number.isFinite(Math.fround(number)));
      view.setFloat32(at, number, true);
    },
  },
  FP64: {
    bytes: 8,
    read: (view, at) => view.getFloat64(at, true),
    write: (view, at, value, what) => view.setFloat64(at, asNumber(value, what), true),
  },
  BF16: { bytes: 2, read: (view, at) => bfloat(view.getUint16(at, true)) },
  BYTES: { bytes: 0 },
});

/** @param {number} bits */
function bfloat(bits) {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, bits * 65536);
  return view.getFloat32(0);
}

/**
 * Elements as JSON has them, or as a caller gives them, to bytes.
 * @param {string} datatype
 * @param {any[]} elements
 * @param {string} what
 */
export function encodeElements(datatype, elements, what) {
  if (datatype === "BYTES") return encodeByteElements(elements.map((each) => bytesOf(each, what)));
  const { bytes, write } = DATATYPES[datatype];
  if (write === undefined) fail(what, `of ${datatype} has no form but the binary one`);
  const data = new Uint8Array(bytes * elements.length);
  const target = new DataView(data.buffer);
  elements.forEach((each, at) => write?.(target, at * bytes, each, what));
  return data;
}

/** @param {any} element @param {string} what */
function bytesOf(element, what) {
  if (typeof element === "string" && element.isWellFormed()) return utf8(element);
  return fail(what, "has an element that is no string");
}

/** @param {Uint8Array[]} elements */
export function encodeByteElements(elements) {
  return concat(
    ...elements.flatMap((each) => {
      const { length } = each;
      return [Uint8Array.of(length & 255, (length >>> 8) & 255, (length >>> 16) & 255, length >>> 24), each];
    }),
  );
}

/** @param {Uint8Array} data @param {string} what @returns {Uint8Array[]} */
export function decodeByteElements(data, what) {
  /** @type {Uint8Array[]} */
  const elements = [];
  const source = new DataView(data.buffer, data.byteOffset, data.byteLength);
  for (let at = 0; at < data.length; ) {
    const end = at + 4 > data.length ? Infinity : at + 4 + source.getUint32(at, true);
    if (end > data.length) fail(what, "ends within an element");
    elements.push(data.subarray(at + 4, end));
    at = end;
  }
  return elements;
}
