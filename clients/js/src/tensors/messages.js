/** Infer requests and responses of the Open Inference Protocol with binary tensors (content.md, 3). */

import { utf8 } from "../base/bytes.js";
import { MalformedError } from "../base/errors.js";
import { boolean, codePoints, integer, isObject, readObject, string } from "../base/forms.js";
import { Decimal, parseObject } from "../base/json.js";
import { MAX_JSON_BYTES } from "../seal/content.js";
import { encodeElements } from "./datatypes.js";
import { checkShape, elementCount, Tensor, tensorName } from "./tensor.js";

const MAX_TENSORS = 64;
const MAX_PARAMETERS = 64;
const MAX_CLASSES = 65_536;
const MAX_ID = 256;
const SHARED_MEMORY = ["shared_memory_region", "shared_memory_byte_size", "shared_memory_offset"];

/** @typedef {{name: string, classification: number | null}} RequestedOutput */
/** @typedef {{inputs: Tensor[], outputs: RequestedOutput[], id: string | null, shareBatch?: boolean, tenantToken?: string}} InferRequest */
/** @typedef {{modelName: string, modelVersion: string | null, outputs: Tensor[], id: string | null}} InferResponse */

/** @param {string} reason @returns {never} */
const fail = (reason) => {
  throw new MalformedError(reason);
};

/** @param {any} value @param {string} what */
const idForm = (value, what) =>
  codePoints(string(value, what)) <= MAX_ID ? value : fail(`${what} is too long`);

/** @param {string} where @param {boolean} [binary] whether `binary_data_size` is allowed */
const parametersForm = (where, binary = false) => (/** @type {any} */ value) => {
  if (!isObject(value)) fail(`${where}: parameters is not an object`);
  const keys = Object.keys(value);
  if (keys.length > MAX_PARAMETERS) fail(`${where} has too many parameters`);
  for (const key of keys) {
    tensorName(key, `${where}: a parameter's name`);
    const each = value[key];
    const fits = ["string", "boolean", "number", "bigint"].includes(typeof each) || each instanceof Decimal;
    if (!fits) fail(`${where}: parameter ${key} is no string, number or boolean`);
    if (SHARED_MEMORY.includes(key)) fail(`${where} asks for shared memory`);
    if (key === "binary_data_size" && !binary) fail(`${where} has binary_data_size`);
  }
  return value;
};

/** Flatten `data`: flat in C order, or folded exactly as the shape says. @param {any} data @param {number[]} shape @param {string} what @returns {any[]} */
function flatten(data, shape, what) {
  if (!Array.isArray(data)) fail(`${what}: data is not a list`);
  const count = elementCount(shape);
  if (!data.some(Array.isArray)) {
    if (data.length !== count) return unfold(data, shape, what);
    return data;
  }
  return unfold(data, shape, what);
}

/** @param {any} data @param {number[]} shape @param {string} what @returns {any[]} */
function unfold(data, shape, what) {
  let level = [data];
  for (const size of shape) {
    for (const each of level) {
      if (!Array.isArray(each) || each.length !== size) fail(`${what}: data is not folded as its shape`);
    }
    level = level.flat(1);
  }
  if (shape.length === 0 || level.some(Array.isArray)) fail(`${what}: data is not folded as its shape`);
  return level;
}

/** Reads tensors and gives each its part of the binary data. */
class TensorReader {
  /** @param {Uint8Array} binary */
  constructor(binary) {
    this.binary = binary;
    this.at = 0;
  }

  /** @param {any} value @param {string} what @returns {Tensor} */
  read(value, what) {
    const shape = (/** @type {any} */ sizes) => checkShape(sizes, what);
    const whole = readObject(value, what, {
      required: { name: tensorName, datatype: string, shape },
      optional: { data: (each) => each, parameters: parametersForm(what, true) },
      open: false,
    });
    const size = whole.parameters?.binary_data_size;
    if (("data" in whole) === (size !== undefined)) fail(`${what} has not exactly one of data and binary_data_size`);
    const data = size === undefined ? this.encode(whole, what) : this.take(size, what);
    return new Tensor(whole.name, whole.datatype, whole.shape, data);
  }

  /** @param {Record<string, any>} whole @param {string} what */
  encode({ name, datatype, shape, data }, what) {
    new Tensor(name, datatype, [0], new Uint8Array(0)); // knows the datatype
    return encodeElements(datatype, flatten(data, shape, what), what);
  }

  /** @param {any} size @param {string} what */
  take(size, what) {
    integer(0, this.binary.length - this.at)(size, `${what}: binary_data_size`);
    this.at += size;
    return this.binary.subarray(this.at - size, this.at);
  }

  end() {
    if (this.at !== this.binary.length) fail("the binary part is longer than its tensors");
  }
}

/** @param {any} value @param {string} what @param {number} least @param {(each: any, what: string) => any} read */
function several(value, what, least, read) {
  if (!Array.isArray(value) || value.length < least || value.length > MAX_TENSORS) fail(`${what} is not a list of at most 64`);
  const read_ = value.map((/** @type {any} */ each, /** @type {number} */ at) => read(each, `${what}[${at}]`));
  if (new Set(read_.map(({ name }) => name)).size !== read_.length) fail(`${what} has a name twice`);
  return read_;
}

/** @param {any} value @param {string} what @returns {RequestedOutput} */
function requestedOutput(value, what) {
  const { name, parameters } = readObject(value, what, {
    required: { name: tensorName }, optional: { parameters: parametersForm(what) }, open: false,
  });
  const asked = parameters?.classification;
  return { name, classification: asked === undefined ? null : integer(1, MAX_CLASSES)(asked, `${what}: classification`) };
}

/** @param {Uint8Array} json @param {string} what */
function parseMessage(json, what) {
  if (json.length > MAX_JSON_BYTES) fail(`${what} is too long`);
  return parseObject(json, what, { numbers: "data" });
}

/** @param {Uint8Array} json @param {Uint8Array} binary @returns {InferRequest} */
export function parseRequest(json, binary) {
  const reader = new TensorReader(binary);
  const { inputs, outputs, id, parameters } = readObject(parseMessage(json, "the request"), "the request", {
    required: { inputs: (value, what) => several(value, what, 1, (each, where) => reader.read(each, where)) },
    optional: {
      id: idForm, outputs: (value, what) => several(value, what, 0, requestedOutput),
      parameters: parametersForm("the request"),
    },
    open: false,
  });
  reader.end();
  const shareBatch = boolean(parameters?.share_batch ?? false, "the request: share_batch");
  return { inputs, outputs: outputs ?? [], id: id ?? null, shareBatch };
}

/** @param {Uint8Array} json @param {Uint8Array} binary @returns {InferResponse} */
export function parseResponse(json, binary) {
  const reader = new TensorReader(binary);
  const whole = readObject(parseMessage(json, "the response"), "the response", {
    required: {
      model_name: tensorName, outputs: (value, what) => several(value, what, 0, (each, where) => reader.read(each, where)),
    },
    optional: { model_version: tensorName, id: idForm, parameters: parametersForm("the response") },
    open: false,
  });
  reader.end();
  return { modelName: whole.model_name, modelVersion: whole.model_version ?? null, outputs: whole.outputs, id: whole.id ?? null };
}

/**
 * Write a request, with all tensors in binary.
 * @param {InferRequest} request
 * @returns {{json: Uint8Array, binary: Uint8Array[]}}
 */
export function encodeRequest({ inputs, outputs, id, shareBatch = false, tenantToken }) {
  const parameters = {
    ...(shareBatch ? { share_batch: true } : {}),
    ...(tenantToken === undefined ? {} : { tenant_token: tenantToken }),
  };
  const message = {
    ...(id === null ? {} : { id }),
    ...(Object.keys(parameters).length === 0 ? {} : { parameters }),
    inputs: inputs.map(describe),
    ...(outputs.length === 0
      ? {}
      : {
          outputs: outputs.map(({ name, classification }) => ({
            name, ...(classification === null ? {} : { parameters: { classification } }),
          })),
        }),
  };
  return { json: utf8(JSON.stringify(message)), binary: inputs.map(({ data }) => data) };
}

/** Write a response likewise; a client needs it for tests alone. @param {InferResponse} response */
export function encodeResponse({ modelName, modelVersion, outputs, id }) {
  const message = {
    model_name: modelName, ...(modelVersion === null ? {} : { model_version: modelVersion }),
    ...(id === null ? {} : { id }), outputs: outputs.map(describe),
  };
  return { json: utf8(JSON.stringify(message)), binary: outputs.map(({ data }) => data) };
}

/** @param {Tensor} tensor */
const describe = ({ name, datatype, shape, data }) => ({
  name, datatype, shape, parameters: { binary_data_size: data.length },
});
