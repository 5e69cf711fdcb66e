/** Policies in TOML. A separate entry point, so that a page without TOML carries no parser of it. */

import { parse } from "smol-toml";

import { ConfigError } from "./base/errors.js";

/**
 * Read a policy file's text.
 * @param {string} text
 * @returns {object} what `Client.connect` takes as `policy`
 */
export function parsePolicyToml(text) {
  try {
    return parse(text);
  } catch (error) {
    throw new ConfigError(`the policy is not TOML: ${error instanceof Error ? error.message.split("\n")[0] : error}`);
  }
}
