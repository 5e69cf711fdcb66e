/** The published document and the signed directory (directory.md, 1 to 3). */

import { concat, toHex } from "../base/bytes.js";
import { ConfigError, MalformedError, PolicyError, renamed, SealflowError, under, VerificationError } from "../base/errors.js";
import { anyObject, base64, base64AtMost, boolean, digest, FORMAT, hex, id, integer, kid, list, name, nullable, object, readObject, string, time } from "../base/forms.js";
import { canonicalJson, parseObject } from "../base/json.js";
import { verifyEd25519 } from "../crypto/ed25519.js";
import { sha256 } from "../crypto/primitives.js";
import { appraise } from "../attest/appraise.js";
import { boundClaimsOf, checkSealingKey, domainOf, readEvidence, ZERO_NONCE } from "../attest/evidence.js";
import { judgePassports } from "../attest/passport.js";
import { checkpointText, cosignatures, requireCosignatures } from "../attest/witnesses.js";
import { findSuite, keyId, label } from "../seal/suites.js";
import { headWith, readTree } from "./tree.js";
import { DATATYPES } from "../tensors/datatypes.js";
import { checkShape, tensorName } from "../tensors/tensor.js";

export const MAX_DOCUMENT_BYTES = 2 * 2 ** 20;
const MAX_PAYLOAD_BYTES = 2 ** 20;
const MAX_MODELS = 1024;
const MAX_DEADLINE_S = 86_400;
const MAX_KEYS = 64;
const MAX_REVOKED = 1024;
const MAX_PASSPORTS = 8;
const ignored = () => [];
const EARLY_MS = 5 * 60_000;

/** @typedef {import("../base/forms.js").Form<any>} AnyForm */
/** @typedef {{name: string, datatype: string, shape: number[]}} TensorForm */
/**
 * @typedef {{name: string, version: string, digest: string, owner: Uint8Array, workers: string | null, default: boolean,
 *   inputs: TensorForm[], outputs: TensorForm[], image: string | null, share_batch?: boolean,
 *   package_sha256?: string, package_bytes?: number, classification?: string}} Model
 */
/** @typedef {{kid: string, suite: import("../seal/suites.js").Suite, publicKey: Uint8Array, notBeforeMs: number, retireMs: number, destroyMs: number}} DirectoryKey */
/** @typedef {{kind: string, id: string, until_ms?: number}} Revocation what is revoked; a worker's `until_ms` is its end */
/**
 * @typedef {object} Directory
 * @property {string} deployment
 * @property {string} manifestDigest
 * @property {string} history
 * @property {number | null} deadlineS how far ahead of sealing a deadline may lie
 * @property {number} logNumber
 * @property {string} logDigest
 * @property {number} version
 * @property {string | null} previous
 * @property {string} digest SHA-256 of the payload
 * @property {number} issuedMs
 * @property {number} expiresMs
 * @property {Model[]} models without revoked ones, and without those that this release cannot read
 * @property {DirectoryKey[]} keys likewise
 * @property {Revocation[]} revoked
 * @property {import("./tree.js").TreeHead | null} log the head of the log's tree with the directory's own entry
 */

const REVOKED_IDS = /** @type {Record<string, import("../base/forms.js").Form<string>>} */ ({ worker: id, model: digest, key: kid });
/** A value that is judged later, if at all. @type {import("../base/forms.js").Form<any>} */
const unread = (value) => value;
/** What is revoked; a kind of a later release is kept, and means nothing here. @type {import("../base/forms.js").Form<any>} */
const revocation = (value, what) => {
  const read = readObject(value, what, { required: { kind: string, id: string }, optional: { until_ms: unread }, open: true });
  if (!Object.hasOwn(REVOKED_IDS, read.kind)) return read;
  REVOKED_IDS[read.kind](read.id, `${what}: id`);
  if (read.until_ms !== undefined) time(read.until_ms, `${what}: until_ms`);
  return read;
};
/** What a directory or a pin lists as revoked. @type {import("../base/forms.js").Form<any>} */
export const revocations = list(revocation, MAX_REVOKED);

/** Sizes are positive, or -1 for any. @type {import("../base/forms.js").Form<number[]>} */
const shape = (value, what) => {
  const sizes = list(integer(-1, 2 ** 31 - 1), 16)(value, what);
  if (sizes.includes(0)) throw new MalformedError(`${what} has a size of 0`);
  checkShape(sizes.map((size) => Math.max(1, size)), what);
  return sizes;
};
/** Leave out what only a newer release understands: it is not judged further (versions.md, 4.1). @param {string} what @returns {never} */
const newer = (what) => {
  throw new MalformedError(`${what} needs a newer release`, "critical");
};
/** @type {import("../base/forms.js").Form<string>} */
const datatype = (value, what) => (Object.hasOwn(DATATYPES, string(value, what)) ? value : newer(what));
/** @type {import("../base/forms.js").Form<number>} */
const suiteNumber = (value, what) => (findSuite(integer(0, 0xffff)(value, what)) === undefined ? newer(what) : value);
const tensor = object({ required: { datatype, name: tensorName, shape }, open: true });
/** @type {import("../base/forms.js").Form<any[]>} */
const tensors = (value, what) => {
  const read = list(tensor, 64)(value, what);
  if (new Set(read.map((each) => each.name)).size !== read.length) throw new MalformedError(`${what} has a name twice`);
  return read;
};
const modelShape = /** @type {const} */ ({
  required: {
    inputs: tensors, outputs: tensors,
    name, version: name, digest, owner: hex(32), workers: nullable(digest), default: boolean, image: nullable(tensorName),
  },
  optional: { share_batch: boolean, package_sha256: digest, package_bytes: integer(1, Number.MAX_SAFE_INTEGER), classification: tensorName },
  open: true,
});
const keyShape = /** @type {const} */ ({
  required: { suite: suiteNumber, kid, public: base64(), not_before_ms: time, retire_ms: time, destroy_ms: time },
  open: true,
});

/** Read an item, or leave it out (null) where only a newer release may understand it. @template T @param {(value: any, what: string) => T} read @returns {import("../base/forms.js").Form<T | null>} */
const unlessCritical = (read) => (value, what) => {
  try {
    return read(value, what);
  } catch (error) {
    if (error instanceof SealflowError && error.code === "critical") return null;
    throw error;
  }
};

/** @param {any} value @param {string} what @returns {Model} */
function readModel(value, what) {
  const model = /** @type {Model} */ (readObject(value, what, modelShape));
  if (model.image !== null && !model.inputs.some((each) => each.name === model.image)) {
    throw new MalformedError(`${what}: image is no input of the model`);
  }
  if (model.classification !== undefined && !model.outputs.some((each) => each.name === model.classification)) {
    throw new MalformedError(`${what}: classification is no output of the model`);
  }
  return model;
}

const payloadShape = /** @type {const} */ ({
  required: {
    deployment: name, manifest_digest: digest, history: digest, log_number: integer(0, Number.MAX_SAFE_INTEGER), log_digest: digest,
    version: integer(1, Number.MAX_SAFE_INTEGER), previous: nullable(digest), issued_ms: time, expires_ms: time,
    models: list(unlessCritical(readModel), MAX_MODELS),
    keys: list(unlessCritical((value, what) => readObject(value, what, keyShape)), MAX_KEYS),
    revoked: revocations,
  },
  optional: { deadline_s: integer(1, MAX_DEADLINE_S), log_tree: anyObject },
  open: true,
  format: "required",
});

/**
 * Read a directory's payload, unverified.
 * @param {Uint8Array} payload
 * @param {import("../seal/suites.js").TrustDomain} domain
 * @returns {Promise<Directory>}
 */
export async function parseDirectory(payload, domain) {
  const what = "the directory";
  if (payload.length > MAX_PAYLOAD_BYTES) throw new MalformedError(`${what} is too large`);
  const read = readObject(parseObject(payload, what), what, payloadShape);
  if ((read.previous === null) !== (read.version === 1)) throw new MalformedError(`${what}: previous is null for version 1 alone`);
  if (read.expires_ms <= read.issued_ms) throw new MalformedError(`${what} ends before it begins`);
  /** @param {string} kind */
  const revoked = (kind) => new Set(read.revoked.filter((/** @type {any} */ each) => each.kind === kind).map((/** @type {any} */ each) => each.id));
  const models = read.models.filter((/** @type {any} */ each) => each !== null);
  checkModels(models);
  const [goneModels, goneKeys] = [revoked("model"), revoked("key")];
  const own = toHex(await sha256(payload));
  const tree = "log_tree" in read ? readTree(read.log_tree, read.log_number) : null;
  return {
    deployment: read.deployment, manifestDigest: read.manifest_digest, history: read.history, logNumber: read.log_number,
    logDigest: read.log_digest, version: read.version, previous: read.previous, digest: own,
    deadlineS: read.deadline_s ?? null, issuedMs: read.issued_ms, expiresMs: read.expires_ms, revoked: read.revoked,
    models: models.filter((/** @type {Model} */ each) => !goneModels.has(each.digest)),
    keys: (await readKeys(read.keys, domain)).filter((each) => !goneKeys.has(each.kid)),
    log: tree && (await headWith(tree, await ownEntry(read, own, domain))),
  };
}

/** The digest of the log entry of a directory itself. @param {Record<string, any>} read @param {string} digest @param {import("../seal/suites.js").TrustDomain} domain */
function ownEntry(read, digest, domain) {
  const body = { version: read.version, digest };
  const entry = { format: FORMAT, number: read.log_number + 1, previous: read.log_digest, at_ms: read.issued_ms, kind: "directory", body };
  return sha256(label(domain, "log entry"), canonicalJson(entry));
}

/** @param {Model[]} models */
function checkModels(models) {
  const names = models.map((each) => `${each.name} ${each.version}`);
  const defaults = models.filter((each) => each.default).map((each) => each.name);
  if (new Set(names).size !== names.length) throw new MalformedError("the directory has a model twice");
  if (new Set(defaults).size !== defaults.length) throw new MalformedError("the directory has two default versions of a model");
}

/** @param {any[]} keys @param {import("../seal/suites.js").TrustDomain} domain */
async function readKeys(keys, domain) {
  /** @type {DirectoryKey[]} */
  const known = [];
  for (const each of keys) {
    if (each === null) continue;
    const suite = /** @type {import("../seal/suites.js").Suite} */ (findSuite(each.suite));
    if (suite.domain !== domain || each.public.length !== suite.kem.publicLength) {
      throw new MalformedError("a key of the directory is of another trust domain, or of another length");
    }
    if (each.kid !== (await keyId(suite, each.public))) throw new MalformedError("a key id of the directory is not the hash of its key");
    known.push({
      kid: each.kid, suite, publicKey: each.public, notBeforeMs: each.not_before_ms, retireMs: each.retire_ms,
      destroyMs: each.destroy_ms,
    });
  }
  if (new Set(known.map((each) => each.kid)).size !== known.length) throw new MalformedError("the directory has a key twice");
  return known;
}

/**
 * Verify a published document: evidence by the policy, signature, deployment, time. No pin is compared.
 * @param {Uint8Array} bytes
 * @param {import("../attest/policy.js").Policy} policy
 * @param {number} nowMs
 * @returns {Promise<{directory: Directory, approval: import("../attest/appraise.js").Approval}>}
 */
export async function verifyDocument(bytes, policy, nowMs) {
  const { payload, signature, evidence, passports, lines } = readDocument(bytes, policy.verifiers.length > 0, policy.log !== null);
  const approval = await approve(evidence, passports, policy, nowMs);
  const { bound } = approval;
  const domain = domainOf(evidence.tee);
  if (!(await verifyEd25519(bound.signingKey, signature, concat(label(domain, "directory"), payload)))) {
    throw new VerificationError("directory_signature", "the directory is not signed by the key broker");
  }
  const directory = await parseDirectory(payload, domain).catch((error) => {
    throw renamed("directory", error);
  });
  if (directory.deployment !== bound.deployment || directory.manifestDigest !== bound.manifestDigest) {
    throw new VerificationError("directory", "the directory is of another deployment than the evidence");
  }
  if (nowMs >= directory.expiresMs) throw new VerificationError("directory_expired", "the directory is expired");
  if (directory.issuedMs > nowMs + EARLY_MS) throw new VerificationError("directory_early", "the directory is from the future");
  if (policy.log === null) return { directory, approval };
  const text = directory.log && checkpointText(directory.log, directory.history, domain);
  const { names, endsMs } = await requireCosignatures(lines, text, policy.log, nowMs);
  return { directory, approval: { ...approval, witnesses: names, validUntilMs: Math.min(approval.validUntilMs, endsMs) } };
}

/** By passports of the policy's verifiers, where they count, and by evidence. @param {import("../attest/evidence.js").Evidence} evidence @param {string[]} passports @param {import("../attest/policy.js").Policy} policy @param {number} nowMs @returns {Promise<import("../attest/appraise.js").Approval>} */
async function approve(evidence, passports, policy, nowMs) {
  if (policy.verifiers.length === 0) return appraise(evidence, policy, nowMs, { nonce: ZERO_NONCE });
  const bound = boundClaimsOf(evidence);
  if (bound.tee !== evidence.tee) throw new VerificationError("world", "the evidence is of other hardware than it says");
  const { accepted, insteadOfEvidence } = await judgePassports(passports, evidence.bound, bound, policy, nowMs);
  if (insteadOfEvidence) checkSealingKey(bound);
  const approval = insteadOfEvidence
    ? { bound, hardware: null, validUntilMs: Infinity }
    : await appraise(evidence, policy, nowMs, { nonce: ZERO_NONCE });
  return { ...approval, passports: accepted, validUntilMs: Math.min(approval.validUntilMs, ...accepted.map((each) => each.endsMs)) };
}

/** @param {Uint8Array} bytes @param {boolean} withPassports who names no verifier does not look at them @param {boolean} witnessed likewise */
function readDocument(bytes, withPassports, witnessed) {
  if (bytes.length > MAX_DOCUMENT_BYTES) throw new VerificationError("document", "the published document is too large");
  const outer = under("document", () => {
    const what = "the published document";
    const parts = object({ required: { payload: base64(), signature: base64AtMost(64) }, open: true });
    return readObject(parseObject(bytes, what), what, {
      required: { directory: parts, evidence: anyObject }, optional: { passports: withPassports ? list(string, MAX_PASSPORTS) : ignored, cosignatures: witnessed ? cosignatures : ignored },
      open: true, format: "required",
    });
  });
  return { ...outer.directory, passports: outer.passports ?? [], lines: outer.cosignatures ?? [], evidence: under("evidence", () => readEvidence(outer.evidence)) };
}

/**
 * The key to seal to.
 * @param {Directory} directory
 * @param {number} nowMs by this machine's clock
 * @param {readonly import("../attest/policy.js").SuiteName[]} suites that are accepted, best first
 * @returns {DirectoryKey}
 */
export function chooseKey(directory, nowMs, suites) {
  const now = Math.max(nowMs, directory.issuedMs);
  const rank = (/** @type {DirectoryKey} */ key) => suites.indexOf(key.suite.name);
  const [best] = directory.keys
    .filter((key) => rank(key) >= 0 && key.notBeforeMs <= now && now < key.retireMs)
    .sort((a, b) => rank(a) - rank(b) || b.notBeforeMs - a.notBeforeMs || (a.kid < b.kid ? -1 : 1));
  if (best === undefined) throw new VerificationError("directory_no_key", "the directory has no key in force");
  return best;
}

/**
 * The model that a name, and perhaps a version, means.
 * @param {Directory} directory
 * @param {import("../attest/policy.js").Policy} policy
 * @param {string | null} wanted null where the directory has one name
 * @param {string} [version]
 * @param {Map<string, string>} [pinned] owners by name
 * @returns {Model}
 */
export function chooseModel(directory, policy, wanted, version, pinned = new Map()) {
  const names = [...new Set(directory.models.map((each) => each.name))];
  const served = names.join(", ") || "none";
  if (wanted === null && names.length !== 1) throw new ConfigError(`name a model; there is: ${served}`, "invalid_input");
  const ofName = wanted ?? names[0];
  const versions = directory.models.filter((each) => each.name === ofName);
  if (versions.length === 0) throw new ConfigError(`no model ${ofName} is served; there is: ${served}`, "invalid_input");
  const model = version !== undefined ? versions.find((each) => each.version === version)
    : versions.length === 1 ? versions[0] : versions.find((each) => each.default);
  if (model === undefined) {
    const all = versions.map((each) => each.version).join(", ");
    throw new ConfigError(`name a version of ${ofName} that is served: ${all}`, "invalid_input");
  }
  requireModel(policy, model, pinned);
  return model;
}

/** Package and owner by the policy; where it names neither, the owner by the pin. @param {import("../attest/policy.js").Policy} policy @param {Model} model @param {Map<string, string>} pinned */
function requireModel(policy, model, pinned) {
  const [digests, owner] = [policy.models?.get(model.name), toHex(model.owner)];
  const owners = policy.owners?.get(model.name) ?? policy.owners?.get("*");
  /** @type {import("../base/errors.js").Mismatch[]} */
  const mismatches = [];
  const listed = digests !== undefined || owners !== undefined || (policy.models === null && policy.owners === null);
  if (!listed || digests?.has(model.digest) === false) {
    mismatches.push({ code: "model", field: "models", expected: [...(digests ?? [])].join(" or ") || "none", got: model.digest });
  }
  if (owners?.has(owner) === false) {
    mismatches.push({ code: "model_owner", field: "owners", expected: [...owners].join(" or "), got: owner });
  }
  if (mismatches.length) throw new PolicyError(mismatches);
  if (digests === undefined && owners === undefined && (pinned.get(model.name) ?? owner) !== owner) {
    throw new VerificationError("owner_changed", `model ${model.name} belonged to the owner ${pinned.get(model.name)}, and is now published by ${owner}`);
  }
}
