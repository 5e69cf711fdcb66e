/** What needs files: pins and policies in Node. */

import { randomUUID } from "node:crypto";
import { open, readFile, rename, unlink } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";

import { ConfigError } from "./base/errors.js";
import { parsePolicyToml } from "./toml.js";

export * from "./index.js";
export { parsePolicyToml };

const MAX_POLICY_BYTES = 64 * 1024;

/**
 * Read a policy file: JSON if its name ends so, else TOML.
 * @param {string} path
 * @returns {Promise<object | string>} what `Client.connect` takes as `policy`
 */
export async function loadPolicy(path) {
  const text = await readFile(path, "utf8").catch((error) => {
    throw new ConfigError(`cannot read the policy ${path}: ${error.code}`);
  });
  if (text.length > MAX_POLICY_BYTES) throw new ConfigError(`the policy ${path} is too large`);
  return extname(path) === ".json" ? text : parsePolicyToml(text);
}

/** The pin file beside a policy file, as `sealflow` names it: `shop.toml` has `shop.pin`. @param {string} policyPath */
export const pinPathOf = (policyPath) => join(dirname(policyPath), `${basename(policyPath, extname(policyPath))}.pin`);

/**
 * Keep the pin in a file, which is replaced in one step.
 * @param {string} path
 * @returns {import("./documents/pin.js").PinStore}
 */
export function filePin(path) {
  return {
    async load() {
      try {
        return new Uint8Array(await readFile(path));
      } catch (error) {
        if (/** @type {NodeJS.ErrnoException} */ (error).code === "ENOENT") return null;
        throw new ConfigError(`cannot read the pin ${path}`);
      }
    },
    async save(bytes) {
      const next = join(dirname(path), `.${basename(path)}.${randomUUID()}`);
      try {
        const file = await open(next, "wx", 0o600);
        try {
          await file.writeFile(bytes);
          await file.sync();
        } finally {
          await file.close();
        }
        await rename(next, path);
      } catch (error) {
        await unlink(next).catch(() => undefined);
        throw new ConfigError(`cannot write the pin ${path}: ${/** @type {NodeJS.ErrnoException} */ (error).code}`);
      }
    },
  };
}
