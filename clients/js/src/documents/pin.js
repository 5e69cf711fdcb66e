/** Pins: what a client remembers of the newest directory that it accepted (directory.md, 3). */

import { toHex, utf8 } from "../base/bytes.js";
import { MalformedError, under, VerificationError } from "../base/errors.js";
import { anyObject, digest, FORMAT, integer, list, name, readObject } from "../base/forms.js";
import { canonicalJson, parseObject } from "../base/json.js";

import { revocations } from "./directory.js";
import { encodeHead, readHead } from "./tree.js";

const KINDS = ["worker", "model", "key"];
const MAX_BYTES = 2 ** 20;
const MAX_NAMES = 4096;

/** @typedef {{deployment: string, manifestDigest: string, history: string, version: number, digest: string, logNumber: number, logDigest: string,
 *   owners: Map<string, string>, revoked: Array<import("./directory.js").Revocation>, log: import("./tree.js").TreeHead | null}} Pin */

/**
 * Where a pin is kept.
 * @typedef {object} PinStore
 * @property {() => Promise<Uint8Array | null>} load
 * @property {(bytes: Uint8Array) => Promise<void>} save
 */

/**
 * What to remember of a directory, with the owners of names that were remembered before.
 * @param {import("./directory.js").Directory} directory
 * @param {Pin | null} [before]
 * @returns {Pin}
 */
export function pinOf(directory, before = null) {
  const { deployment, manifestDigest, history, version, digest: own, logNumber, logDigest, revoked, log } = directory;
  const owners = new Map(before?.deployment === deployment ? before.owners : []);
  const defaultsFirst = [...directory.models].sort((a, b) => Number(b.default) - Number(a.default));
  for (const model of defaultsFirst) {
    if (owners.size < MAX_NAMES && !owners.has(model.name)) owners.set(model.name, toHex(model.owner));
  }
  return { deployment, manifestDigest, history, version, digest: own, logNumber, logDigest, owners, revoked, log };
}

/** Names by owner: shorter than owners by name. @param {Map<string, string>} owners */
function namesByOwner(owners) {
  const names = /** @type {Record<string, string[]>} */ ({});
  for (const [of, owner] of [...owners].sort()) (names[owner] ??= []).push(of);
  return names;
}

/** @type {import("../base/forms.js").Form<Map<string, string>>} */
const readOwners = (value, what) => {
  const listed = Object.entries(anyObject(value, what)).flatMap(([owner, names]) => {
    digest(owner, what);
    return list(name, MAX_NAMES)(names, what).map((each) => /** @type {[string, string]} */ ([each, owner]));
  });
  const owners = new Map(listed);
  if (owners.size > MAX_NAMES || owners.size !== listed.length) throw new MalformedError(`${what} has too many names, or one twice`);
  return owners;
};

/** @param {Pin} pin @returns {Uint8Array} */
export function encodePin(pin) {
  return canonicalJson({
    format: FORMAT, deployment: pin.deployment, manifest_digest: pin.manifestDigest, history: pin.history,
    version: pin.version, digest: pin.digest, log_number: pin.logNumber, log_digest: pin.logDigest,
    owners: namesByOwner(pin.owners),
    revoked: pin.revoked.map(({ kind, id, until_ms }) => ({ kind, id, ...(kind === "worker" && until_ms !== undefined ? { until_ms } : {}) })),
    ...(pin.log && { log_tree: encodeHead(pin.log) }),
  });
}

/** @param {Uint8Array} bytes @returns {Pin} */
export function parsePin(bytes) {
  if (bytes.length > MAX_BYTES) throw new VerificationError("pin", "the pin is too large");
  const counted = integer(0, Number.MAX_SAFE_INTEGER);
  const read = under("pin", () =>
    readObject(parseObject(bytes, "the pin"), "the pin", {
      required: {
        deployment: name, manifest_digest: digest, history: digest, version: counted, digest,
        log_number: counted, log_digest: digest,
      },
      optional: { owners: readOwners, revoked: revocations, log_tree: readHead },
      open: true,
      format: "optional",
    }),
  );
  return {
    deployment: read.deployment, manifestDigest: read.manifest_digest, history: read.history, version: read.version,
    digest: read.digest, logNumber: read.log_number, logDigest: read.log_digest, owners: read.owners ?? new Map(),
    revoked: read.revoked ?? [], log: read.log_tree ?? null,
  };
}

/**
 * Compare a directory with the pin. Settings that a policy changed begin anew.
 * @param {Pin | null} pin
 * @param {import("./directory.js").Directory} directory
 */
export function comparePin(pin, directory) {
  if (pin === null || pin.manifestDigest !== directory.manifestDigest) return;
  /** @param {string} code @param {string} reason @returns {never} */
  const refuse = (code, reason) => {
    throw new VerificationError(code, reason);
  };
  if (pin.history !== directory.history) refuse("directory_history", "the directory is of another history than the pinned one");
  if (directory.version < pin.version) refuse("directory_rollback", "the directory is older than the pinned one");
  const fork =
    directory.version === pin.version ? directory.digest !== pin.digest
    : (directory.version === pin.version + 1 && directory.previous !== pin.digest) || directory.logNumber <= pin.logNumber
      || (pin.log !== null && directory.log !== null && pin.log.first !== directory.log.first);
  if (fork) refuse("directory_fork", "the directory does not continue the pinned one");
  const listed = new Set(directory.revoked.map(({ kind, id }) => `${kind} ${id}`));
  const kids = new Set(directory.keys.map(({ kid }) => kid)); // a key may leave the list once nobody has it
  /** A worker may leave the list at the end that was told for it. @param {import("./directory.js").Revocation} each */
  const isEnded = ({ kind, until_ms }) => kind === "worker" && until_ms !== undefined && until_ms <= directory.issuedMs;
  /** @param {import("./directory.js").Revocation} each */
  const mayLeave = (each) => !KINDS.includes(each.kind) || (each.kind === "key" && !kids.has(each.id)) || isEnded(each);
  const lost = pin.revoked.find((each) => !listed.has(`${each.kind} ${each.id}`) && !mayLeave(each));
  if (lost) refuse("directory_revocation", `the ${lost.kind} ${lost.id} was revoked and is not any more`);
}

/** Keep a pin in memory alone: it is lost with the page or process. @returns {PinStore} */
export function memoryPin() {
  /** @type {Uint8Array | null} */
  let kept = null;
  return { load: async () => kept, save: async (bytes) => void (kept = bytes) };
}

/**
 * Keep a pin in the browser, per origin of the page.
 * @param {string} key names the pin, such as the gateway's address
 * @returns {PinStore}
 */
export function browserPin(key) {
  /** @param {IDBTransactionMode} mode @param {(store: IDBObjectStore) => IDBRequest} ask @returns {Promise<any>} */
  const transact = async (mode, ask) => {
    const opening = indexedDB.open("sealflow", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("pins");
    const database = await settled(opening);
    try {
      const transaction = database.transaction("pins", mode);
      const done = new Promise((resolve, reject) => {
        transaction.oncomplete = resolve;
        transaction.onabort = () => reject(transaction.error);
      });
      const value = await settled(ask(transaction.objectStore("pins")));
      await done;
      return value;
    } finally {
      database.close();
    }
  };
  return {
    load: async () => {
      const found = await transact("readonly", (store) => store.get(key));
      return typeof found === "string" ? utf8(found) : null;
    },
    save: async (bytes) => transact("readwrite", (store) => store.put(new TextDecoder().decode(bytes), key)),
  };
}

/** @param {IDBRequest} request @returns {Promise<any>} */
const settled = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
