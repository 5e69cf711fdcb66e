/** Assertions on refusals. */

import assert from "node:assert/strict";

import { SealflowError } from "../../src/index.js";

/** The codes of an error: one, or all mismatches of a policy, sorted. */
export const codesOf = (error) => (error.mismatches ? error.mismatches.map((each) => each.code).sort() : error.code);

/** Expect a refusal by an error of this package, of this code if one is given. */
export async function refused(run, code) {
  try {
    await run();
  } catch (error) {
    assert.ok(error instanceof SealflowError, error.stack);
    if (code !== undefined) assert.deepEqual(codesOf(error), Array.isArray(code) ? [...code].sort() : code);
    return;
  }
  assert.fail("it was accepted");
}
