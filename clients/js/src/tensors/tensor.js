/** Tensors (content.md, 2): name, datatype, shape, and data in C order, little-endian, without gaps. */

import { view } from "../base/bytes.js";
import { ConfigError, MalformedError } from "../base/errors.js";
import { printable } from "../base/forms.js";
import { DATATYPES, decodeByteElements, encodeByteElements, encodeElements } from "./datatypes.js";

const MAX_DIMENSIONS = 16;
const MAX_ELEMENTS = 2 ** 31 - 1;
export const tensorName = printable(1, 256);

/** @typedef {import("../crypto/primitives.js").Bytes} Bytes */
/** @typedef {Float32Array | Float64Array | Int8Array | Uint8Array | Uint8ClampedArray | Int16Array | Uint16Array | Int32Array | Uint32Array | BigInt64Array | BigUint64Array} NumberArray */

/** @param {any} shape @param {string} what @returns {number[]} */
export function checkShape(shape, what) {
  if (!Array.isArray(shape) || shape.length > MAX_DIMENSIONS) throw new MalformedError(`${what} has a wrong shape`);
  let product = 1;
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) throw new MalformedError(`${what} has a wrong shape`);
    product *= size || 1;
    if (product > MAX_ELEMENTS) throw new MalformedError(`${what} has too many elements`);
  }
  return shape;
}

/** @param {number[]} shape */
export const elementCount = (shape) => shape.reduce((product, size) => product * size, 1);

const ARRAY_DATATYPES = /** @type {Record<string, string>} */ ({
  Float32Array: "FP32", Float64Array: "FP64", Int8Array: "INT8", Uint8Array: "UINT8", Uint8ClampedArray: "UINT8",
  Int16Array: "INT16", Uint16Array: "UINT16", Int32Array: "INT32", Uint32Array: "UINT32",
  BigInt64Array: "INT64", BigUint64Array: "UINT64",
});

/** One tensor. It is valid once it exists. */
export class Tensor {
  /**
   * @param {string} name
   * @param {string} datatype as in KServe V2: `FP32`, `INT64`, `BYTES` …
   * @param {number[]} shape
   * @param {Uint8Array} data little-endian, in C order
   */
  constructor(name, datatype, shape, data) {
    /** @readonly */ this.name = tensorName(name, "a tensor's name");
    const what = `tensor ${JSON.stringify(name)}`;
    if (!Object.hasOwn(DATATYPES, datatype)) throw new MalformedError(`${what} has an unknown datatype`);
    /** @readonly */ this.datatype = datatype;
    /** @readonly */ this.shape = checkShape(shape, what);
    /** @readonly */ this.data = data;
    const count = elementCount(shape);
    if (datatype === "BYTES") {
      if (decodeByteElements(data, what).length !== count) throw new MalformedError(`${what} has another count of elements`);
    } else if (data.length !== count * DATATYPES[datatype].bytes) {
      throw new MalformedError(`${what} has data of another length`);
    }
    if (datatype === "BOOL" && data.some((each) => each > 1)) throw new MalformedError(`${what} has a wrong BOOL`);
  }

  /**
   * Make a tensor of numbers, booleans or strings, flat in C order.
   * @param {string} name
   * @param {string} datatype
   * @param {number[]} shape
   * @param {Iterable<number | bigint | boolean | string>} elements
   */
  static of(name, datatype, shape, elements) {
    if (!Object.hasOwn(DATATYPES, datatype)) throw new ConfigError(`unknown datatype ${datatype}`);
    return new Tensor(name, datatype, shape, encodeElements(datatype, [...elements], `tensor ${name}`));
  }

  /**
   * Make a tensor of a typed array, whose type says the datatype.
   * @param {string} name
   * @param {NumberArray} array
   * @param {number[]} [shape] one dimension unless given
   */
  static fromArray(name, array, shape = [array.length]) {
    const datatype = ARRAY_DATATYPES[array.constructor.name];
    if (datatype === undefined) throw new ConfigError("a tensor is made of a typed array");
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    return new Tensor(name, datatype, shape, isLittleEndian ? bytes : swapped(bytes, array.BYTES_PER_ELEMENT));
  }

  /** Make a tensor of whole files or other byte strings. @param {string} name @param {Uint8Array[]} elements @param {number[]} [shape] */
  static ofBytes(name, elements, shape = [elements.length]) {
    return new Tensor(name, "BYTES", shape, encodeByteElements(elements));
  }

  /** The elements, flat: numbers, `bigint`s, booleans, or `Uint8Array`s of `BYTES`. @returns {any[]} */
  elements() {
    if (this.datatype === "BYTES") return decodeByteElements(this.data, this.name);
    const { bytes, read } = DATATYPES[this.datatype];
    const source = view(this.data);
    return Array.from({ length: this.data.length / bytes }, (_, at) => read?.(source, at * bytes));
  }
}

const isLittleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** @param {Uint8Array} bytes @param {number} width */
function swapped(bytes, width) {
  return bytes.map((_, at) => bytes[at - (at % width) + width - 1 - (at % width)]);
}
