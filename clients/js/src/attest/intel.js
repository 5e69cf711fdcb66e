/** Verification of DCAP quotes with Intel's collateral, offline (quotes.md, 1 to 4). */

import { allZero, concat, equal, toHex } from "../base/bytes.js";
import { under, VerificationError } from "../base/errors.js";
import { sha256, verifyEcdsa } from "../crypto/primitives.js";
import { parsePem } from "./certificates.js";
import { parseIntelCollateral, parseQeIdentity, parseTcbInfo } from "./intel-collateral.js";
import { readPlatform } from "./intel-pck.js";
import { judgePlatform, judgeQuotingEnclave } from "./intel-tcb.js";
import { parseQuote, parseSgxReport } from "./quote.js";
import { INTEL_ROOT_SHA256 } from "./roots.js";

const SGX_DEBUG = 2n;
const TDX_NEEDED = 1n << 28n;
/** Debugging, migration and reserved bits: 0 to 15, 17, 23 to 26, 29, 32 to 61. */
const TDX_REFUSED = 0xffffn | (1n << 17n) | (0xfn << 23n) | (1n << 29n) | (((1n << 30n) - 1n) << 32n);

/** @typedef {import("./certificates.js").Certificate} Certificate */
/** @typedef {import("./certificates.js").RevocationList} RevocationList */

/** @param {boolean} condition @param {string} reason @param {string} [code] */
const demand = (condition, reason, code = "quote") => {
  if (!condition) throw new VerificationError(code, reason);
};

/**
 * Verify a quote.
 * @param {Uint8Array} bytes
 * @param {Uint8Array} collateralBytes
 * @param {Uint8Array | null} trusted the root as DER; null for Intel's
 * @param {number} nowMs
 * @returns {Promise<import("./claims.js").IntelClaims>}
 */
export async function verifyIntelQuote(bytes, collateralBytes, trusted, nowMs) {
  const now = 1000 * Math.floor(nowMs / 1000);
  const quote = under("quote", () => parseQuote(bytes));
  const collateral = under("collateral", () => parseIntelCollateral(collateralBytes));
  const { pckCrl, rootCrl, pckCrlChain, tcb, qe } = collateral;
  const pck = under("quote", () => parsePem(quote.pckChain, { strict: false }));
  demand(pck.length === 3, "the quote does not hold three certificates");
  await checkRoot(pck[2], trusted, "quote");
  for (const [, last] of [pckCrlChain, tcb.chain, qe.chain]) await checkRoot(last, trusted, "collateral");
  const [leaf, issuer, root] = pck;
  under("quote", () => readPlatform(leaf));
  demand(equal(issuer.der, pckCrlChain[0].der), "the revocation list is of another authority than the platform", "collateral");
  const lists = [{ list: rootCrl, issuer: root }, { list: pckCrl, issuer }];
  const paths = [pck, tcb.chain, qe.chain];
  for (const path of paths) await checkPath(path, lists, now);
  await checkSigned(tcb, "the TCB info", now);
  await checkSigned(qe, "the QE identity", now);
  const [tcbInfo, qeIdentity] = under("quote", () => [parseTcbInfo(tcb.json), parseQeIdentity(qe.json)]);
  demand(now <= tcbInfo.nextMs && now <= qeIdentity.nextMs, "TCB info or QE identity is out of date");
  await checkSignatures(quote, leaf);
  const qeReport = parseSgxReport(quote.qeReport);
  checkModes(quote, qeReport);
  const platform = under("quote", () => readPlatform(leaf));
  const enclave = judgeQuotingEnclave(qeIdentity, qeReport, quote.tee);
  const verdict = judgePlatform(tcbInfo, platform, quote, enclave);
  demand(lists.every(({ list }) => list.thisUpdateMs <= now), "a revocation list is from the future", "collateral");
  return {
    kind: quote.tee,
    identity: toHex(await sha256(quote.signed)),
    sgx: quote.sgx,
    tdx: quote.tdx,
    reportData: (quote.sgx ?? quote.tdx)?.reportData ?? new Uint8Array(0),
    tcbStatus: verdict.status,
    qeStatus: enclave.status,
    advisories: verdict.advisories,
    platformFlags: platform.flags,
    tcbEvaluation: Math.min(tcbInfo.evaluation, qeIdentity.evaluation),
    collateralIssuedMs: Math.min(tcb.issuedMs, qe.issuedMs, pckCrl.thisUpdateMs),
    collateralEndsMs: Math.min(
      tcbInfo.nextMs, qeIdentity.nextMs, pckCrl.nextUpdateMs, rootCrl.nextUpdateMs, ...paths.flat().map((each) => each.notAfterMs),
    ),
  };
}

/** @param {Certificate} root @param {Uint8Array | null} trusted @param {string} code */
async function checkRoot(root, trusted, code) {
  const fits = trusted === null ? toHex(await sha256(root.der)) === INTEL_ROOT_SHA256 : equal(root.der, trusted);
  demand(fits, "a chain does not end in the trusted root", code);
}

/**
 * A path from a leaf up to the trusted root: signed, in date, none revoked.
 * @param {Certificate[]} path
 * @param {Array<{list: RevocationList, issuer: Certificate}>} lists
 * @param {number} now
 */
async function checkPath(path, lists, now) {
  demand(path[0].pathLength() < 0, "a certificate that signs data is an authority");
  for (const [at, certificate] of path.entries()) {
    const issuer = path[at + 1] ?? certificate;
    demand(certificate.isInDate(now), "a certificate is not in date");
    demand(under("quote", () => certificate.isUnderstood() && certificate.hasGoodUsages()), "a certificate is for another use, or not understood");
    demand(at === 0 || (certificate.pathLength() >= at - 1 && certificate.maySignCertificates()), "a certificate may not sign the one below it");
    demand(await attempt(() => certificate.isIssuedBy(issuer)), "a certificate is not issued by the one above it");
    const covering = lists.find(({ list }) => list.covers(certificate));
    demand(covering !== undefined, "no revocation list covers a certificate");
    const { list, issuer: lister } = /** @type {{list: RevocationList, issuer: Certificate}} */ (covering);
    demand(now < list.nextUpdateMs, "a revocation list is out of date");
    demand(lister.maySignLists() && (await attempt(() => list.isIssuedBy(lister))), "a revocation list is not its authority's");
    demand(!list.revokes(certificate), "a certificate is revoked");
  }
}

/** Signatures whose encoding is wrong are wrong. @param {() => Promise<boolean>} verify */
const attempt = (verify) => verify().catch(() => false);

/** @param {import("./intel-collateral.js").SignedPart} part @param {string} what @param {number} now */
async function checkSigned(part, what, now) {
  demand(await part.chain[0].verifiesP256(part.signature, part.bytes), `${what} is not Intel's`);
  demand(part.issuedMs <= now, `${what} is from the future`);
}

/** The PCK signed the quoting enclave's report, which names the key that signed the quote. @param {import("./quote.js").Quote} quote @param {Certificate} leaf */
async function checkSignatures(quote, leaf) {
  demand(await leaf.verifiesP256(quote.qeReportSignature, quote.qeReport), "the quoting enclave's report is not the platform's");
  const { reportData } = parseSgxReport(quote.qeReport);
  const key = await sha256(quote.attestationKey, quote.qeAuthData);
  demand(equal(key, reportData.subarray(0, 32)), "the quote's key is not the quoting enclave's");
  const point = concat(Uint8Array.of(4), quote.attestationKey);
  demand(await verifyEcdsa("P-256", "SHA-256", point, quote.signature, quote.signed), "the quote's signature is wrong");
}

/** @param {import("./quote.js").Quote} quote @param {import("./quote.js").SgxReport} qeReport */
function checkModes({ sgx, tdx }, qeReport) {
  demand(!(qeReport.flags & SGX_DEBUG), "the quoting enclave is a debug enclave");
  demand(sgx === null || !(sgx.flags & SGX_DEBUG), "it is a debug enclave");
  if (tdx === null) return;
  demand(!(tdx.attributes & TDX_REFUSED) && (tdx.attributes & TDX_NEEDED) !== 0n, "it is a debug trust domain, or one of other attributes");
  demand(allZero(tdx.serviceTd ?? new Uint8Array(0)), "it has a service trust domain");
}
