/** Verifiers that a policy names, and their keys (passport.md, 1; policy.md, 7). */

import { concat, fromBase64, toBase64 } from "../base/bytes.js";
import { MalformedError } from "../base/errors.js";
import { boolean, list, name, object, oneOf, readObject, string } from "../base/forms.js";
import { isGoodPublicKey, isOnCurve, verifyEd25519 } from "../crypto/ed25519.js";
import { isOnP256, verifyEcdsa } from "../crypto/primitives.js";

const MAX_VERIFIERS = 8;
const COORDINATE_BYTES = 32;

/** @typedef {{kind: "Ed25519" | "P-256", bytes: Uint8Array<ArrayBuffer>}} VerifierKey the key, or x and y */
/** @typedef {{name: string, key: VerifierKey, insteadOfEvidence: boolean}} Verifier */

/** Read base64url without padding, in its one spelling. @param {string} text @param {string} what */
export function fromBase64Url(text, what) {
  if (!/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 === 1) throw new MalformedError(`${what} is not base64url`);
  const standard = text.replaceAll("-", "+").replaceAll("_", "/");
  return fromBase64(standard + "=".repeat((4 - (text.length % 4)) % 4), what);
}

/** @type {import("../base/forms.js").Form<Uint8Array<ArrayBuffer>>} */
const coordinate = (value, what) => {
  const bytes = fromBase64Url(string(value, what), what);
  if (bytes.length !== COORDINATE_BYTES) throw new MalformedError(`${what} is not 32 bytes`);
  return bytes;
};

/** @param {any} value @param {string} what @returns {VerifierKey} */
function readKey(value, what) {
  const { kty } = readObject(value, what, { required: { kty: oneOf("OKP", "EC") }, optional: { crv: string, x: string, y: string }, open: false });
  if (kty === "OKP") {
    const { x } = object({ required: { kty: string, crv: oneOf("Ed25519"), x: coordinate }, open: false })(value, what);
    if (!isGoodPublicKey(x) || !isOnCurve(x)) throw new MalformedError(`${what} is not a good key of Ed25519`);
    return { kind: "Ed25519", bytes: x };
  }
  const { x, y } = object({ required: { kty: string, crv: oneOf("P-256"), x: coordinate, y: coordinate }, open: false })(value, what);
  if (!isOnP256(x, y)) throw new MalformedError(`${what} is not a point of P-256`);
  return { kind: "P-256", bytes: concat(x, y) };
}

/** @param {any} value @param {string} what @returns {Verifier} */
function readVerifier(value, what) {
  const read = readObject(value, what, { required: { name, key: readKey }, optional: { instead_of_evidence: boolean }, open: false });
  return { name: read.name, key: read.key, insteadOfEvidence: read.instead_of_evidence ?? false };
}

/** @param {any} value @param {string} what @returns {Verifier[]} */
export function readVerifiers(value, what) {
  const verifiers = list(readVerifier, MAX_VERIFIERS)(value, what);
  const keys = verifiers.map(({ key }) => key.kind + toBase64(key.bytes));
  const names = verifiers.map((each) => each.name);
  if (new Set(keys).size !== keys.length || new Set(names).size !== names.length) throw new MalformedError(`${what} has a name or a key twice`);
  return verifiers;
}

/** @param {VerifierKey} key @param {Uint8Array} signature @param {Uint8Array} message */
export const verifies = ({ kind, bytes }, signature, message) =>
  kind === "Ed25519"
    ? verifyEd25519(bytes, signature, message)
    : verifyEcdsa("P-256", "SHA-256", concat(Uint8Array.of(4), bytes), signature, message);
