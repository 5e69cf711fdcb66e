/** What a caller gives as inputs, as tensors that the model takes; and what it gets back. */

import { ConfigError, MalformedError, under, VerificationError } from "../base/errors.js";
import { topClasses } from "../tensors/classes.js";
import { parseResponse } from "../tensors/messages.js";
import { Tensor } from "../tensors/tensor.js";

/** @typedef {import("../documents/directory.js").Model} Model */
/** @typedef {Uint8Array | ArrayBuffer | Blob} FileBytes */
/**
 * A tensor; a typed array; nested lists of numbers, truth values or strings; or, for the model's image input, whole
 * JPEG or PNG files.
 * @typedef {Tensor | import("../tensors/tensor.js").NumberArray | any[] | FileBytes | FileBytes[]} InputValue
 */
/** @typedef {import("../tensors/messages.js").RequestedOutput} RequestedOutput */

/** @param {any} value @returns {Promise<Uint8Array | null>} */
async function asFile(value) {
  if (value instanceof Uint8Array) return value;
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  return typeof Blob !== "undefined" && value instanceof Blob ? new Uint8Array(await value.arrayBuffer()) : null;
}

/** Whole files for the image input, or null. @param {any} value */
async function asFiles(value) {
  const files = await Promise.all((Array.isArray(value) ? value : [value]).map(asFile));
  return files.every((each) => each !== null) && files.length ? /** @type {Uint8Array[]} */ (files) : null;
}

/**
 * @param {Model} model
 * @param {Record<string, InputValue>} inputs by name; `image` also means the input that takes files
 * @returns {Promise<Tensor[]>}
 */
export async function makeInputs(model, inputs) {
  const names = model.inputs.map((each) => each.name);
  /** @param {string} key */
  const nameOf = (key) => (key === "image" && model.image !== null && !names.includes(key) ? model.image : key);
  const given = new Map(Object.entries(inputs).map(([key, value]) => [nameOf(key), value]));
  if (given.size !== names.length || names.some((each) => !given.has(each))) {
    throw new ConfigError(`${model.name} takes the inputs ${names.join(", ")}`);
  }
  const made = await Promise.all(model.inputs.map((form) => makeInput(model, form, given.get(form.name))));
  const empty = made.find(({ shape }) => shape.includes(0));
  if (empty !== undefined) throw new ConfigError(`input ${empty.name} has a size of 0`);
  return made;
}

/** @param {Model} model @param {import("../documents/directory.js").TensorForm} form @param {any} value */
async function makeInput(model, { name, datatype, shape }, value) {
  try {
    if (value instanceof Tensor) return new Tensor(name, value.datatype, value.shape, value.data);
    const files = model.image === name ? await asFiles(value) : null;
    if (files !== null && (datatype !== "UINT8" || !isOfShape(files, shape))) return Tensor.ofBytes(name, files);
    if (ArrayBuffer.isView(value)) {
      const tensor = Tensor.fromArray(name, /** @type {any} */ (value), filled(shape, /** @type {any} */ (value).length));
      if (tensor.datatype !== datatype) throw new ConfigError(`input ${name} is of ${datatype}, not ${tensor.datatype}`);
      return tensor;
    }
    if (Array.isArray(value)) return Tensor.of(name, datatype, shapeOf(value), value.flat(Infinity));
  } catch (error) {
    if (error instanceof MalformedError) throw new ConfigError(error.message);
    throw error;
  }
  throw new ConfigError(`input ${name} is no tensor, typed array or list`);
}

/** Whether bytes may be the tensor itself, not a file. @param {Uint8Array[]} files @param {number[]} shape */
const isOfShape = (files, shape) =>
  files.length === 1 && files[0].length === shape.reduce((product, size) => product * Math.max(1, size), 1);

/** The model's shape with its one open size filled. @param {number[]} shape @param {number} count */
function filled(shape, count) {
  const open = shape.filter((size) => size < 0).length;
  const known = shape.reduce((product, size) => (size < 0 ? product : product * size), 1);
  if (open > 1) throw new ConfigError("the model's shape has several open sizes: give a Tensor");
  return open === 0 ? shape : shape.map((size) => (size < 0 ? count / (known || 1) : size));
}

/** @param {any[]} nested */
function shapeOf(nested) {
  /** @type {number[]} */
  const shape = [];
  for (let at = /** @type {any} */ (nested); Array.isArray(at); at = at[0]) shape.push(at.length);
  return shape;
}

/**
 * @param {Model} model
 * @param {{outputs?: string[], topK?: number}} options
 * @returns {RequestedOutput[]}
 */
export function requestedOutputs(model, { outputs, topK }) {
  const all = model.outputs.map((each) => each.name);
  const wrong = (outputs ?? []).filter((each) => !all.includes(each));
  if (wrong.length || new Set(outputs).size !== (outputs ?? []).length) throw new ConfigError(`${model.name} has the outputs ${all.join(", ")}`);
  if (topK === undefined) return (outputs ?? []).map((name) => ({ name, classification: null }));
  if (!Number.isInteger(topK) || topK < 1 || topK > 65_536) throw new ConfigError("topK is 1 to 65,536");
  const scores = model.classification ?? (all.length === 1 ? all[0] : undefined);
  if (outputs !== undefined) return outputs.map((name) => ({ name, classification: topK }));
  if (scores === undefined) throw new ConfigError(`topK needs one of the outputs ${all.join(", ")}`);
  return all.map((name) => ({ name, classification: name === scores ? topK : null }));
}

/**
 * Read a response and check that it is one to what was asked.
 * @param {Model} model
 * @param {RequestedOutput[]} asked
 * @param {import("../seal/content.js").Content} content
 */
export function readResponse(model, asked, content) {
  return under("reply", () => {
    const response = parseResponse(content.json, content.binary);
    const names = asked.length ? asked.map((each) => each.name) : model.outputs.map((each) => each.name);
    const fits =
      response.modelName === model.name &&
      response.outputs.length === names.length &&
      response.outputs.every((each, at) => each.name === names[at]) &&
      asked.every(({ classification }, at) => classification === null || response.outputs[at].datatype === "BYTES");
    if (!fits) throw new VerificationError("reply", "the response is not to what was asked");
    const ranked = response.outputs.filter((_, at) => asked[at] !== undefined && asked[at].classification !== null);
    return {
      outputs: Object.fromEntries(response.outputs.map((each) => [each.name, each])),
      classes: Object.fromEntries(ranked.map((each) => [each.name, topClasses(each)])),
    };
  });
}
