/** The Merkle tree over the log's entries, and proofs that one log continues another (directory.md, 4; RFC 9162, 2.1). */

import { equal, toHex } from "../base/bytes.js";
import { MalformedError, under, VerificationError } from "../base/errors.js";
import { anyObject, digest, hex, integer, list, readObject } from "../base/forms.js";
import { parseObject } from "../base/json.js";
import { sha256 } from "../crypto/primitives.js";

const MAX_NODES = 53;
const MAX_HASHES = 64;
const counted = integer(0, Number.MAX_SAFE_INTEGER);
const size = integer(1, Number.MAX_SAFE_INTEGER);

/** @typedef {{first: number, size: number, root: Uint8Array}} TreeHead `size` entries from number `first` on */
/** @typedef {{first: number, size: number, nodes: Uint8Array[]}} LogTree roots of the complete subtrees, the largest first */
/** @typedef {{size: number, hashes: Uint8Array[]}} LogProof */

/** @param {Uint8Array} left @param {Uint8Array} right */
const node = (left, right) => sha256(Uint8Array.of(1), left, right);

/**
 * Read the tree of a directory.
 * @param {any} value
 * @param {number} number of the newest entry in it
 * @returns {LogTree}
 */
export function readTree(value, number) {
  const what = "the directory: log_tree";
  const read = readObject(value, what, { required: { first: counted, nodes: list(hex32, MAX_NODES) }, open: true });
  const entries = number + 1 - read.first;
  const ones = entries < 1 ? 0 : [...BigInt(entries).toString(2)].filter((bit) => bit === "1").length;
  if (ones === 0 || number >= Number.MAX_SAFE_INTEGER || read.nodes.length !== ones) {
    throw new MalformedError(`${what} has not the nodes of a tree that ends with the newest entry`);
  }
  return { first: read.first, size: entries, nodes: read.nodes };
}

/** @type {import("../base/forms.js").Form<Uint8Array>} */
const hex32 = (value, what) => hex(32)(digest(value, what), what);

/**
 * The head of a tree with one more entry.
 * @param {LogTree} tree
 * @param {Uint8Array} entry its digest
 * @returns {Promise<TreeHead>}
 */
export async function headWith({ first, size: before, nodes }, entry) {
  // All smaller subtrees are to the left of the new leaf, the smallest one next to it.
  let root = await sha256(Uint8Array.of(0), entry);
  for (const each of [...nodes].reverse()) root = await node(each, root);
  return { first, size: before + 1, root };
}

/**
 * The proof beside a published directory, if any.
 * @param {Uint8Array} document
 * @returns {LogProof | null}
 */
export const readProof = (document) =>
  under("document", () => {
    const value = parseObject(document, "the published document").log_proof;
    if (value === undefined) return null;
    const read = readObject(value, "the log proof", { required: { hashes: list(hex32, MAX_HASHES), size }, open: true });
    return { size: read.size, hashes: read.hashes };
  });

/** A head in a pin. @type {import("../base/forms.js").Form<TreeHead>} */
export const readHead = (value, what) => {
  const read = readObject(anyObject(value, what), what, { required: { first: counted, size, root: hex32 }, open: true });
  return { first: read.first, size: read.size, root: read.root };
};

/** @param {TreeHead} head */
export const encodeHead = ({ first, size: entries, root }) => ({ first, size: entries, root: toHex(root) });

/**
 * Check that the entries of one head are the first ones of another.
 * @param {TreeHead} old
 * @param {TreeHead} newer
 * @param {Uint8Array[]} hashes
 * @returns {Promise<void>} VerificationError `directory_fork`
 */
export async function checkConsistency(old, newer, hashes) {
  if (old.first !== newer.first || !(await leads(old, newer, hashes))) {
    throw new VerificationError("directory_fork", "the log's tree does not continue the pinned one");
  }
}

/** @param {TreeHead} old @param {TreeHead} newer @param {Uint8Array[]} proof */
async function leads(old, newer, proof) {
  if (old.size >= newer.size) return old.size === newer.size && equal(old.root, newer.root) && proof.length === 0;
  const power = (BigInt(old.size) & BigInt(old.size - 1)) === 0n;
  const [start, ...rest] = power ? [old.root, ...proof] : proof;
  if (start === undefined) return false;
  let [left, right] = [BigInt(old.size - 1), BigInt(newer.size - 1)];
  const up = () => void ([left, right] = [left >> 1n, right >> 1n]);
  while (left & 1n) up();
  let [oldRoot, newRoot] = [start, start];
  for (const each of rest) {
    if (right === 0n) return false;
    if (left & 1n || left === right) {
      oldRoot = await node(each, oldRoot);
      newRoot = await node(each, newRoot);
      while (left && !(left & 1n)) up();
    } else newRoot = await node(newRoot, each);
    up();
  }
  return right === 0n && equal(oldRoot, old.root) && equal(newRoot, newer.root);
}

