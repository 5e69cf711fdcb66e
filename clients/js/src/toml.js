/** Policies in TOML. A separate entry point, so that a page without TOML carries no parser of it. */

import { parse } from "smol-toml";

import { utf8 } from "./base/bytes.js";
import { ConfigError } from "./base/errors.js";

const MAX_BYTES = 64 * 1024;

/**
 * Read a policy file's text.
 * @param {string} text
 * @returns {object} what `Client.connect` takes as `policy`
 */
export function parsePolicyToml(text) {
  if (utf8(text).length > MAX_BYTES) throw new ConfigError("the policy is too large");
  if (text.startsWith("\ufeff")) throw new ConfigError("the policy begins with a byte order mark");
  try {
    return /** @type {object} */ (plainValue(parse(text, { integersAsBigInt: true })));
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError(`the policy is not TOML: ${error instanceof Error ? error.message.split("\n")[0] : error}`);
  }
}

/** TOML's values as those of JSON; floats and dates have none here. @param {unknown} value @returns {unknown} */
function plainValue(value) {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : refuse("an integer that is too large");
  if (typeof value === "number") return refuse("a number that is not an integer");
  if (value instanceof Date) return refuse("a date: write it as a text");
  if (Array.isArray(value)) return value.map(plainValue);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plainValue(each)]));
}

/** @param {string} what @returns {never} */
const refuse = (what) => {
  throw new ConfigError(`the policy has ${what}`);
};
