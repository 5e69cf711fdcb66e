/** Verification of SEV-SNP reports with AMD's certificates (attestation.md, 3.5 and 3.6). */

import { concat, equal, toHex } from "../base/bytes.js";
import { MalformedError, under, VerificationError } from "../base/errors.js";
import { base64AtMost, readObject } from "../base/forms.js";
import { parseObject } from "../base/json.js";
import { sha256, verifyEcdsa } from "../crypto/primitives.js";
import { Certificate, RevocationList } from "./certificates.js";
import { INTEGER, OCTET_STRING, parseDer, smallInteger } from "./der.js";
import { AMD_ROOT_KEYS } from "./roots.js";
import { parseSnpReport, readTcb } from "./snp-report.js";

const AMD = "1.3.6.1.4.1.3704.1";
const PRODUCT = `${AMD}.2`;
const IA5_STRING = 0x16;
const HARDWARE_ID = `${AMD}.4`;
const CLOUD_ID = `${AMD}.5`;
const TCB = /** @type {Record<string, string>} */ ({
  bootloader: `${AMD}.3.1`, tee: `${AMD}.3.2`, snp: `${AMD}.3.3`, microcode: `${AMD}.3.8`, fmc: `${AMD}.3.9`,
});
const CHIP_ID_BYTES = 64;
const CHIP_ID_LENGTHS = [8, CHIP_ID_BYTES];
const MAX_CERTIFICATE = 16 * 1024;
const MAX_LIST = 256 * 1024;

/** @typedef {{leaf: Certificate, intermediate: Certificate, root: Certificate, list: RevocationList | null}} Endorsements */

/** @param {boolean} condition @param {string} code @param {string} reason */
const demand = (condition, code, reason) => {
  if (!condition) throw new VerificationError(code, reason);
};

/** @param {Uint8Array} bytes @returns {Endorsements} */
function parseEndorsements(bytes) {
  const what = "the collateral";
  const certificate = base64AtMost(MAX_CERTIFICATE);
  const parts = readObject(parseObject(bytes, what), what, {
    required: { leaf: certificate, intermediate: certificate, root: certificate, crl: base64AtMost(MAX_LIST) },
    open: false,
  });
  return under("certificate", () => ({
    leaf: new Certificate(parts.leaf),
    intermediate: new Certificate(parts.intermediate),
    root: new Certificate(parts.root),
    list: parts.crl.length ? under("revocations", () => new RevocationList(parts.crl)) : null,
  }));
}

/** @param {Certificate} leaf @param {string} name */
function extension(leaf, name) {
  const found = leaf.extensions.get(name);
  if (found === undefined) throw new MalformedError(`AMD's certificate lacks ${name}`);
  return found.value;
}

/** Product line by the leaf: `Milan-B0` is Milan. @param {Certificate} leaf */
function productOf(leaf) {
  const { content } = parseDer(extension(leaf, PRODUCT)).expect(IA5_STRING, "a product");
  if (content.length === 0) throw new MalformedError("the product has no name");
  return String.fromCharCode(...content).split("-")[0];
}

/**
 * @param {Uint8Array} bytes
 * @param {Uint8Array} collateralBytes
 * @param {Uint8Array | null} root the trusted root as DER; null for AMD's
 * @param {number} nowMs
 * @returns {Promise<import("./claims.js").SnpClaims>}
 */
export async function verifySnpReport(bytes, collateralBytes, root, nowMs) {
  const report = under("quote", () => parseSnpReport(bytes));
  const parts = under("collateral", () => parseEndorsements(collateralBytes));
  const now = 1000 * Math.floor(nowMs / 1000);
  const product = await checkRoot(parts, root);
  await checkChain(parts, now);
  const { key } = parts.leaf;
  demand(key.type === "P-384", "certificate", "the processor's key is of another curve");
  demand(under("certificate", () => productOf(parts.leaf)) === product, "certificate", "the certificate is of another product");
  const kinds = [HARDWARE_ID, CLOUD_ID].filter((each) => parts.leaf.extensions.has(each));
  demand(kinds.length === 1, "certificate", "the certificate is not of exactly one kind");
  const [chip, tcb] = under("certificate", () => /** @type {const} */ ([chipOf(parts.leaf), tcbOf(parts.leaf, product)]));
  if (parts.list !== null) await checkList(parts.list, parts, now);
  const signed = report.signature !== null && (await verifyEcdsa("P-384", "SHA-384", key.point, report.signature, report.signed));
  demand(signed, "quote_signature", "the report is not signed by the processor's key");
  under("binding", () => checkBinding(report, tcb, chip, product));
  const ends = [parts.leaf, parts.intermediate, parts.root].map(({ notAfterMs }) => notAfterMs);
  return {
    kind: "snp",
    identity: toHex(await sha256(report.signed)),
    snp: report,
    reportData: report.reportData,
    reportedTcb: readTcb(product, report.reportedTcb),
    committedTcb: readTcb(product, report.committedTcb),
    launchTcb: readTcb(product, report.launchTcb),
    product,
    revocations: parts.list !== null,
    collateralIssuedMs: parts.list?.thisUpdateMs ?? null,
    collateralEndsMs: Math.min(...ends, parts.list?.nextUpdateMs ?? Infinity),
  };
}

/** The root is trusted; gives the product line. @param {Endorsements} parts @param {Uint8Array | null} trusted @returns {Promise<string>} */
async function checkRoot({ root, leaf }, trusted) {
  const key = toHex(await sha256(root.spki));
  const product = Object.keys(AMD_ROOT_KEYS).find((each) => AMD_ROOT_KEYS[each] === key);
  const fits = trusted === null ? product !== undefined : equal(root.der, trusted);
  demand(fits, "root", "the certificates do not end in the trusted root");
  const found = trusted === null && product !== undefined ? product : under("certificate", () => productOf(leaf));
  demand(Object.hasOwn(AMD_ROOT_KEYS, found), "root", "the processor is of no known product line");
  return found;
}

/** @param {Endorsements} parts @param {number} nowMs */
async function checkChain({ leaf, intermediate, root }, nowMs) {
  for (const [certificate, issuer] of [[leaf, intermediate], [intermediate, root], [root, root]]) {
    demand(certificate.isInDate(nowMs), "certificate", "a certificate is not in date");
    demand(certificate.algorithmIsPss(), "certificate", "a certificate is signed by another algorithm");
    const issued = await certificate.isIssuedBy(issuer).catch(() => false);
    demand(issued, "certificate", "a certificate is not issued by the one above it");
  }
}

/** @param {RevocationList} list @param {Endorsements} parts @param {number} nowMs */
async function checkList(list, { intermediate, root }, nowMs) {
  demand(await list.isIssuedBy(root).catch(() => false), "revocations", "the revocation list is not the root's");
  demand(list.isInDate(nowMs), "revocations", "the revocation list is not in date");
  demand(!list.revokes(intermediate), "revoked", "AMD revoked the authority of the processor's key");
}

/** The chip that a VCEK is of, filled up to 64 bytes; null of a VLEK. @param {Certificate} leaf */
function chipOf(leaf) {
  const value = leaf.extensions.get(HARDWARE_ID)?.value;
  if (value === undefined) return null;
  const id = CHIP_ID_LENGTHS.includes(value.length) ? value : parseDer(value).expect(OCTET_STRING, "a chip id").content;
  if (!CHIP_ID_LENGTHS.includes(id.length)) throw new MalformedError("the chip id has another length");
  return concat(id, new Uint8Array(CHIP_ID_BYTES - id.length));
}

/** The TCB that a leaf is for, by its parts. @param {Certificate} leaf @param {string} product @returns {Record<string, number>} */
const tcbOf = (leaf, product) =>
  Object.fromEntries(
    Object.keys(readTcb(product, new Uint8Array(8)))
      .filter((part) => leaf.extensions.has(TCB[part]))
      .map((part) => [part, smallInteger(parseDer(extension(leaf, TCB[part])).expect(INTEGER, part))]),
  );

/** The leaf is of the kind, the chip and the TCB that the report names. @param {import("./snp-report.js").SnpReport} report @param {Record<string, number>} tcb of the certificate @param {Uint8Array | null} chip @param {string} product */
function checkBinding(report, tcb, chip, product) {
  const kind = chip === null ? "vlek" : "vcek";
  demand(kind === report.leaf, "binding", "the certificate is of another kind than the report names");
  if (chip !== null) {
    demand(!report.chipKeyHidden, "binding", "the processor hides its chip id");
    demand(equal(chip, report.chipId), "binding", "the certificate is of another chip");
  }
  for (const [part, svn] of Object.entries(readTcb(product, report.reportedTcb))) {
    demand(tcb[part] === svn, "binding", `the certificate is of another TCB: ${part}`);
  }
}
