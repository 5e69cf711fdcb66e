/** Top classes: elements of the form `score:index:label` (content.md, 5). */

import { fromUtf8 } from "../base/bytes.js";
import { MalformedError } from "../base/errors.js";
import { codePoints } from "../base/forms.js";

const FORM = /^(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?):([0-9]{1,10})(?::([^]*))?$/;
const MAX_SCORE = 32;
const MAX_LABEL = 4096;

/** @typedef {{score: number, index: number, label: string}} TopClass */

/** @param {Uint8Array} element @returns {TopClass} */
export function parseTopClass(element) {
  const match = FORM.exec(fromUtf8(element, "a class"));
  if (match === null || match[1].length > MAX_SCORE) throw new MalformedError("a class is not score:index:label");
  const [, digits, index, label] = match;
  const score = Number(digits);
  if (!Number.isFinite(score)) throw new MalformedError("a class has a score that is not finite");
  if (label !== undefined && codePoints(label) > MAX_LABEL) throw new MalformedError("a class has a label that is too long");
  return { score, index: Number(index), label: label ?? "" };
}

/** The classes of each row. @param {import("./tensor.js").Tensor} tensor @returns {TopClass[][]} */
export function topClasses(tensor) {
  const classes = tensor.elements().map(parseTopClass);
  const width = tensor.shape.at(-1) ?? 1;
  return Array.from({ length: width ? classes.length / width : 0 }, (_, row) => classes.slice(row * width, (row + 1) * width));
}
