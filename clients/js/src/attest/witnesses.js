/** Witnesses that a policy names, and what they signed about the log of a directory (witness.md). */

import { sha256 } from "@noble/hashes/sha2.js";

import { concat, fromBase64, toBase64, toHex, utf8, view } from "../base/bytes.js";
import { MalformedError, UnavailableError } from "../base/errors.js";
import { integer, list, readObject, string } from "../base/forms.js";
import { verifyEd25519 } from "../crypto/ed25519.js";

const MAX_WITNESSES = 16;
const MAX_COSIGNATURES = 16;
const MAX_LINE = 400;
const MAX_AGE_S = 604_800;
const EARLY_MS = 300_000n;
const TYPE = 4;
const VKEY = /^([!-*,-~]{1,200})\+([0-9a-f]{8})\+([A-Za-z0-9+/]{44})$/;
const LINE = /^\u2014 ([!-*,-~]{1,200}) ([A-Za-z0-9+/]{101}[AQgw]==)$/;

/** @typedef {{name: string, key: Uint8Array, id: string}} Witness `id`: 8 hex digits, compared when it is used */
/** @typedef {{witnesses: Witness[], required: number, maxAgeS: number | null}} LogDemands */

/** @param {string} reason @returns {never} */
const fail = (reason) => {
  throw new MalformedError(reason);
};

/** @type {import("../base/forms.js").Form<Witness>} */
const readWitness = (value, what) => {
  const found = VKEY.exec(string(value, what)) ?? fail(`${what} is no verifier key of a witness`);
  const content = fromBase64(found[3], what);
  if (content[0] !== TYPE) fail(`${what} is no key for cosignatures`);
  return { name: found[1], key: content.slice(1), id: found[2] };
};

/** The table `log` of a policy. @param {any} value @param {string} what @returns {LogDemands} */
export function readLogDemands(value, what) {
  const read = readObject(value, what, {
    required: { witnesses: list(readWitness, MAX_WITNESSES, 1) },
    optional: { witnesses_required: integer(1, MAX_WITNESSES), max_age_s: integer(1, MAX_AGE_S) },
    open: false,
  });
  /** @type {Witness[]} */
  const witnesses = read.witnesses;
  const different = (/** @type {string[]} */ values) => new Set(values).size === values.length;
  if (!different(witnesses.map((each) => each.name)) || !different(witnesses.map((each) => toBase64(each.key)))) {
    fail(`${what}: witnesses has a name or a key twice`);
  }
  for (const { name, key, id } of witnesses) {
    if (keyId(name, key) !== id) fail(`${what}: the key id of ${name} is not that of its name and key`);
  }
  const required = read.witnesses_required ?? witnesses.length;
  if (required > witnesses.length) fail(`${what}: witnesses_required is more than there are`);
  return { witnesses, required, maxAgeS: read.max_age_s ?? null };
}

/** @param {string} name @param {Uint8Array} key */
const keyId = (name, key) => toHex(sha256(concat(utf8(`${name}\n`), Uint8Array.of(TYPE), key)).slice(0, 4));

/** The lines beside a directory. @type {import("../base/forms.js").Form<string[]>} */
export const cosignatures = list((value, what) => {
  const line = string(value, what);
  return [...line].length <= MAX_LINE ? line : fail(`${what} is too long`);
}, MAX_COSIGNATURES);

/**
 * The checkpoint that witnesses sign.
 * @param {import("../documents/tree.js").TreeHead} head
 * @param {string} history
 * @param {import("../seal/suites.js").TrustDomain} domain
 */
export function checkpointText({ first, size, root }, history, domain) {
  const origin = `sealflow-log/${history}${first ? `/${first}` : ""}${domain === "simulated" ? "/simulated" : ""}`;
  return `${origin}\n${size}\n${toBase64(root)}\n`;
}

/**
 * Find the cosignatures that a policy demands.
 * @param {string[]} lines
 * @param {string | null} text the checkpoint; null without a tree
 * @param {LogDemands} wanted
 * @param {number} nowMs
 * @returns {Promise<{names: string[], endsMs: number}>} UnavailableError `directory_unwitnessed`
 */
export async function requireCosignatures(lines, text, wanted, nowMs) {
  /** @type {Map<string, bigint>} */
  const times = new Map();
  for (const line of text === null ? [] : lines) {
    const at = await genuineTime(line, /** @type {string} */ (text), wanted.witnesses);
    if (at !== null && isTimely(at.time, wanted.maxAgeS, BigInt(nowMs)) && at.time > (times.get(at.name) ?? 0n)) times.set(at.name, at.time);
  }
  if (times.size < wanted.required) {
    const message = `${times.size} of the policy's witnesses vouch for the log of this directory, and it demands ${wanted.required}`;
    throw new UnavailableError("directory_unwitnessed", message, { retryAfterS: 5 });
  }
  const newest = [...times].sort(([, a], [, b]) => (a < b ? 1 : a > b ? -1 : 0)).slice(0, wanted.required);
  const { maxAgeS } = wanted;
  return {
    names: newest.map(([name]) => name),
    endsMs: maxAgeS === null ? Infinity : Math.min(...newest.map(([, time]) => 1000 * (Number(time) + maxAgeS))),
  };
}

/** @param {string} line @param {string} text @param {Witness[]} witnesses */
async function genuineTime(line, text, witnesses) {
  const found = LINE.exec(line);
  const witness = found && witnesses.find((each) => each.name === found[1]);
  if (!found || !witness) return null;
  const content = fromBase64(found[2], "a cosignature");
  if (toHex(content.slice(0, 4)) !== witness.id) return null;
  const time = view(content).getBigUint64(4);
  const message = utf8(`cosignature/v1\ntime ${time}\n${text}`);
  return (await verifyEd25519(witness.key, content.slice(12), message)) ? { name: witness.name, time } : null;
}

/** @param {bigint} at seconds @param {number | null} maxAgeS @param {bigint} nowMs */
function isTimely(at, maxAgeS, nowMs) {
  if (at === 0n || 1000n * at > nowMs + EARLY_MS) return false;
  return maxAgeS === null || nowMs < 1000n * (at + BigInt(maxAgeS));
}
