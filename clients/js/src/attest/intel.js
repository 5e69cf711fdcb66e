/** Verification of DCAP quotes with Intel's collateral, offline (attestation.md, 3.2 to 3.4). */

import { allZero, concat, equal, toHex } from "../base/bytes.js";
import { under, VerificationError } from "../base/errors.js";
import { sha256, verifyEcdsa } from "../crypto/primitives.js";
import { parsePem } from "./certificates.js";
import { parseIntelCollateral } from "./intel-collateral.js";
import { readPlatform } from "./intel-pck.js";
import { INTEL_ROOT_SHA256 } from "./roots.js";
import { judgePlatform, judgeQuotingEnclave } from "./intel-tcb.js";
import { parseQuote, parseSgxReport } from "./quote.js";

const DEBUG = 2n;
const TDX_UNTRUSTED = 0xffn;

/** @typedef {import("./certificates.js").RevocationList} RevocationList */
/** @typedef {import("./certificates.js").Certificate} Certificate */

/** @param {boolean} condition @param {string} reason */
const demand = (condition, reason) => {
  if (!condition) throw new VerificationError("quote", reason);
};

/**
 * Verify a quote.
 * @param {Uint8Array} bytes
 * @param {Uint8Array} collateralBytes
 * @param {Uint8Array | null} root the trusted root as DER; null for Intel's
 * @param {number} nowMs
 * @returns {Promise<import("./claims.js").IntelClaims>}
 */
export async function verifyIntelQuote(bytes, collateralBytes, root, nowMs) {
  const collateral = under("collateral", () => parseIntelCollateral(collateralBytes));
  const quote = under("quote", () => parseQuote(bytes));
  const pck = under("quote", () => parsePem(quote.pckChain));
  demand(pck.length === 3, "the quote's chain is not of three certificates");
  const [leaf, intermediate] = pck;
  const chains = [pck, collateral.pckCrlChain, collateral.tcbSigned.chain, collateral.qeSigned.chain];
  for (const chain of chains) await checkChain(chain, root, collateral.rootCrl, nowMs);
  demand(equal(collateral.pckCrlChain[0].der, intermediate.der), "the revocation list is of another authority");
  await checkList(collateral.rootCrl, pck[2], nowMs);
  await checkList(collateral.pckCrl, intermediate, nowMs);
  demand(!collateral.pckCrl.revokes(leaf), "the platform's certificate is revoked");
  await checkSigned(collateral.tcbSigned, collateral.tcbInfo, "the TCB info", nowMs);
  await checkSigned(collateral.qeSigned, collateral.qeIdentity, "the QE identity", nowMs);
  await checkSignatures(quote, leaf);
  const qeReport = parseSgxReport(quote.qeReport);
  demand(!(qeReport.flags & DEBUG), "the quoting enclave is a debug enclave");
  demand(!((quote.sgx?.flags ?? 0n) & DEBUG), "it is a debug enclave");
  demand(!((quote.tdx?.attributes ?? 0n) & TDX_UNTRUSTED), "it is a debug trust domain");
  const platform = under("quote", () => readPlatform(leaf));
  const tcb = judgePlatform(collateral.tcbInfo, platform, quote);
  const qe = judgeQuotingEnclave(collateral.qeIdentity, qeReport, quote.tee);
  const { tcbInfo, qeIdentity, pckCrl, rootCrl } = collateral;
  const ends = chains.flat().map(({ notAfterMs }) => notAfterMs);
  return {
    kind: quote.tee,
    identity: toHex(await sha256(quote.signed)),
    sgx: quote.sgx,
    tdx: quote.tdx,
    reportData: (quote.sgx ?? quote.tdx)?.reportData ?? new Uint8Array(0),
    tcbStatus: tcb.status,
    qeStatus: qe.status,
    advisories: [...new Set([...tcb.advisories, ...qe.advisories])].sort(),
    platformFlags: platform.flags,
    tcbEvaluation: Math.min(tcbInfo.evaluation, qeIdentity.evaluation),
    collateralIssuedMs: Math.min(tcbInfo.issuedMs, qeIdentity.issuedMs, pckCrl.thisUpdateMs),
    collateralEndsMs: Math.min(tcbInfo.nextMs, qeIdentity.nextMs, pckCrl.nextUpdateMs, rootCrl.nextUpdateMs, ...ends),
  };
}

/** A chain from its leaf up to the trusted root, all in date, none revoked by the root. @param {Certificate[]} chain @param {Uint8Array | null} root @param {RevocationList} rootList @param {number} nowMs */
async function checkChain(chain, root, rootList, nowMs) {
  const last = chain[chain.length - 1];
  const trusted = root === null ? toHex(await sha256(last.der)) === INTEL_ROOT_SHA256 : equal(last.der, root);
  demand(trusted, "a chain does not end in the trusted root");
  for (const [at, certificate] of chain.entries()) {
    const issuer = chain[at + 1] ?? certificate;
    demand(certificate.isInDate(nowMs), "a certificate is not in date");
    demand(certificate.isUnderstood(), "a certificate has a critical extension that is not known");
    demand(at === 0 || certificate.pathLength() >= at - 1, "a certificate is no authority, or has too long a path below");
    demand(await certificate.isIssuedBy(issuer), "a certificate is not issued by the one above it");
    demand(!rootList.revokes(certificate), "a certificate is revoked");
  }
}

/** @param {RevocationList} list @param {Certificate} issuer @param {number} nowMs */
async function checkList(list, issuer, nowMs) {
  demand(list.isInDate(nowMs), "a revocation list is not in date");
  demand(await list.isIssuedBy(issuer), "a revocation list is not its authority's");
}

/** @param {import("./intel-collateral.js").SignedPart} part @param {import("./intel-collateral.js").Dates} dates @param {string} what @param {number} nowMs */
async function checkSigned(part, dates, what, nowMs) {
  const [signer] = part.chain;
  demand(signer.maySignData(), `${what} is signed by a certificate that may not sign`);
  demand(await signer.verifiesP256(part.signature, part.bytes), `${what} is not Intel's`);
  demand(dates.issuedMs <= nowMs, `${what} is from the future`);
  demand(nowMs <= dates.nextMs, `${what} is out of date`);
}

/** The PCK signed the quoting enclave's report, which names the key that signed the quote. @param {import("./quote.js").Quote} quote @param {Certificate} leaf */
async function checkSignatures(quote, leaf) {
  demand(leaf.maySignData(), "the platform's certificate may not sign");
  demand(await leaf.verifiesP256(quote.qeReportSignature, quote.qeReport), "the quoting enclave's report is not the platform's");
  const { reportData } = parseSgxReport(quote.qeReport);
  const key = await sha256(quote.attestationKey, quote.qeAuthData);
  demand(equal(key, reportData.subarray(0, 32)) && allZero(reportData.subarray(32)), "the quote's key is not the quoting enclave's");
  const point = concat(Uint8Array.of(4), quote.attestationKey);
  demand(await verifyEcdsa("P-256", "SHA-256", point, quote.signature, quote.signed), "the quote's signature is wrong");
}
