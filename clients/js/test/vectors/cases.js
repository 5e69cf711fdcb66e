/** Files whose cases each have their inputs whole, and in `expect` the code that comes out, or `ok`. */

import assert from "node:assert/strict";

import { SealflowError } from "../../src/index.js";
import { Decimal } from "../../src/base/json.js";

/** Fill in what the cases of a file share: `@name`, and texts that are joined of pieces. */
export function filled(value, shared) {
  if (typeof value === "string" && value.startsWith("@")) return filled(shared[value.slice(1)], shared);
  if (Array.isArray(value)) return value.map((each) => filled(each, shared));
  if (value === null || typeof value !== "object" || value instanceof Decimal) return value;
  if (Object.keys(value).join() === "join") return value.join.map((each) => piece(each, shared)).join("");
  const whole = Object.create(null);
  for (const key of Object.keys(value)) whole[key] = filled(value[key], shared);
  return whole;
}

const piece = (each, shared) => (typeof each === "string" ? each : String(filled(each[0], shared)).repeat(each[1]));

/** JSON as it stood in the file, with numbers that are no integers. */
export function written(value) {
  if (Array.isArray(value)) return `[${value.map(written).join(",")}]`;
  if (value instanceof Decimal) return Object.is(value.value, -0) ? "-0" : Number.isInteger(value.value) ? value.value.toFixed(1) : String(value.value);
  if (typeof value === "bigint") return String(value);
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return `{${Object.keys(value).map((key) => `${JSON.stringify(key)}:${written(value[key])}`).join(",")}}`;
}

/** `ok`, the code of an error, or the codes of all mismatches. `form` stands for what does not parse. */
export async function verdict(run, form) {
  try {
    await run();
  } catch (error) {
    if (!(error instanceof SealflowError)) throw error;
    if (error.mismatches) return error.mismatches.map(({ code }) => code).sort();
    return error.code === "malformed" || error.code === "open_failed" ? form(error) : error.code;
  }
  return "ok";
}

/**
 * Handlers of a file.
 * @param {string[]} inputs the keys that its cases may have, beside those that all have
 * @param {(each: any) => unknown} judge
 * @param {string | ((error: Error) => string)} form
 */
export function caseFile(inputs, judge, form) {
  const known = ["name", "description", "rule", "expect", ...inputs];
  const codeOf = typeof form === "function" ? form : () => form;
  return {
    description: "context", rules: "context", shared: "context",
    cases: (cases, whole) =>
      cases.map((raw) => [
        raw.name,
        async () => {
          const each = filled(raw, whole.shared ?? {});
          assert.deepEqual(Object.keys(each).filter((key) => !known.includes(key)), []);
          const expect = Array.isArray(each.expect) ? [...each.expect].sort() : each.expect;
          assert.deepEqual(await verdict(() => judge(each), codeOf), expect, each.description);
        },
      ]),
  };
}
