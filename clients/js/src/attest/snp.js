/** Verification of SEV-SNP reports with AMD's certificates (attestation.md, 3.5 and 3.6). */

import { allZero, concat, equal, toHex } from "../base/bytes.js";
import { MalformedError, under, VerificationError } from "../base/errors.js";
import { base64, readObject } from "../base/forms.js";
import { parseObject } from "../base/json.js";
import { sha256, verifyEcdsa } from "../crypto/primitives.js";
import { Certificate, RevocationList } from "./certificates.js";
import { OCTET_STRING, parseDer, smallInteger } from "./der.js";
import { AMD_ROOT_KEYS } from "./roots.js";
import { parseSnpReport, readTcb } from "./snp-report.js";

const AMD = "1.3.6.1.4.1.3704.1";
const PRODUCT = `${AMD}.2`;
const HARDWARE_ID = `${AMD}.4`;
const CLOUD_ID = `${AMD}.5`;
const TCB = /** @type {Record<string, string>} */ ({
  bootloader: `${AMD}.3.1`, tee: `${AMD}.3.2`, snp: `${AMD}.3.3`, microcode: `${AMD}.3.8`, fmc: `${AMD}.3.9`,
});
const CHIP_ID_BYTES = 64;

/** @typedef {{leaf: Certificate, intermediate: Certificate, root: Certificate, list: RevocationList | null}} Endorsements */

/** @param {boolean} condition @param {string} code @param {string} reason */
const demand = (condition, code, reason) => {
  if (!condition) throw new VerificationError(code, reason);
};

/** @param {Uint8Array} bytes @returns {Endorsements} */
function parseEndorsements(bytes) {
  const what = "the collateral";
  const bytesForm = base64();
  const parts = readObject(parseObject(bytes, what), what, {
    required: { leaf: bytesForm, intermediate: bytesForm, root: bytesForm, crl: bytesForm },
    open: false,
  });
  return {
    leaf: new Certificate(parts.leaf),
    intermediate: new Certificate(parts.intermediate),
    root: new Certificate(parts.root),
    list: parts.crl.length ? new RevocationList(parts.crl) : null,
  };
}

/** @param {Certificate} leaf @param {string} name */
function extension(leaf, name) {
  const found = leaf.extensions.get(name);
  if (found === undefined) throw new MalformedError(`AMD's certificate lacks ${name}`);
  return found.value;
}

/** Product line by the leaf: `Milan-B0` is Milan. @param {Certificate} leaf */
function productOf(leaf) {
  const { content } = parseDer(extension(leaf, PRODUCT));
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
  const product = report.product ?? under("certificate", () => productOf(parts.leaf));
  await checkRoot(parts.root, root, product);
  await checkChain(parts, nowMs);
  if (parts.list !== null) await checkList(parts.list, parts, nowMs);
  const { key } = parts.leaf;
  const signed = key.type === "P-384" && (await verifyEcdsa("P-384", "SHA-384", key.point, report.signature, report.signed));
  demand(signed, "quote_signature", "the report is not signed by the processor's key");
  under("binding", () => checkBinding(report, parts.leaf, product));
  const ends = [parts.leaf, parts.intermediate, parts.root].map(({ notAfterMs }) => notAfterMs);
  return {
    kind: "snp",
    identity: toHex(await sha256(report.signed)),
    snp: report,
    reportData: report.reportData,
    reportedTcb: readTcb(product, report.reportedTcb),
    committedTcb: readTcb(product, report.committedTcb),
    product,
    revocations: parts.list !== null,
    collateralIssuedMs: parts.list?.thisUpdateMs ?? null,
    collateralEndsMs: Math.min(...ends, parts.list?.nextUpdateMs ?? Infinity),
  };
}

/** @param {Certificate} certificate @param {Uint8Array | null} root @param {string} product */
async function checkRoot(certificate, root, product) {
  const pinned = AMD_ROOT_KEYS[product];
  const trusted = root === null
    ? pinned !== undefined && toHex(await sha256(certificate.spki)) === pinned
    : equal(certificate.der, root);
  demand(trusted, "root", "the certificates do not end in the trusted root");
}

/** @param {Endorsements} parts @param {number} nowMs */
async function checkChain({ leaf, intermediate, root }, nowMs) {
  for (const [certificate, issuer] of [[leaf, intermediate], [intermediate, root], [root, root]]) {
    demand(certificate.isInDate(nowMs), "certificate", "a certificate is not in date");
    demand(certificate.isUnderstood(), "certificate", "a certificate has a critical extension that is not known");
    demand(await certificate.isIssuedBy(issuer), "certificate", "a certificate is not issued by the one above it");
  }
  demand(root.pathLength() >= 1, "certificate", "the root allows no authority below it");
}

/** @param {RevocationList} list @param {Endorsements} parts @param {number} nowMs */
async function checkList(list, { intermediate, root }, nowMs) {
  demand(await list.isIssuedBy(root), "revocations", "the revocation list is not the root's");
  demand(list.isInDate(nowMs), "revocations", "the revocation list is not in date");
  demand(!list.revokes(intermediate), "revoked", "AMD revoked the authority of the processor's key");
}

/** The leaf is of the kind, the product, the chip and the TCB that the report names. @param {import("./snp-report.js").SnpReport} report @param {Certificate} leaf @param {string} product */
function checkBinding(report, leaf, product) {
  const kind = leaf.extensions.has(CLOUD_ID) ? "vlek" : "vcek";
  demand(kind === report.leaf, "binding", "the certificate is of another kind than the report names");
  demand(productOf(leaf) === product, "binding", "the certificate is of another product");
  if (kind === "vcek") {
    const value = extension(leaf, HARDWARE_ID);
    const id = value.length > CHIP_ID_BYTES ? parseDer(value).expect(OCTET_STRING, "a chip id").content : value;
    const chip = concat(id, new Uint8Array(Math.max(0, CHIP_ID_BYTES - id.length)));
    demand(!report.chipKeyHidden && !allZero(report.chipId), "binding", "the processor hides its chip id");
    demand(equal(chip, report.chipId), "binding", "the certificate is of another chip");
  }
  for (const [part, svn] of Object.entries(readTcb(product, report.reportedTcb))) {
    demand(smallInteger(parseDer(extension(leaf, TCB[part]))) === svn, "binding", `the certificate is of another TCB: ${part}`);
  }
}
