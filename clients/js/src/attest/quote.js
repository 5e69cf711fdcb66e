/** DCAP quotes of SGX and TDX, unverified (Intel's ECDSA quote library references). Integers are little-endian. */

import { allZero, fromUtf8, toHex, view } from "../base/bytes.js";
import { MalformedError } from "../base/errors.js";

const HEADER = 48;
const SGX_BODY = 384;
const TDX_10_BODY = 584;
const TDX_15_BODY = 648;
const ECDSA_P256 = 2;
const PCK_CHAIN = 5;
const QE_REPORT = 6;
const QE_AUTH = 32;
const INTEL_QE = "939a7233f79c4ca9940a0db3957f0607";

/** @param {string} reason @returns {never} */
const fail = (reason) => {
  throw new MalformedError(`the quote ${reason}`);
};

/** Reads fields one after the other. */
class Cursor {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  /** @param {number} count */
  take(count) {
    if (this.at + count > this.bytes.length) fail("ends early");
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  u16() {
    return view(this.take(2)).getUint16(0, true);
  }

  u32() {
    return view(this.take(4)).getUint32(0, true);
  }

  end() {
    if (this.at !== this.bytes.length) fail("has something that does not belong there");
  }

  /** A length of 4 bytes and as many bytes. */
  sized() {
    return new Cursor(this.take(this.u32()));
  }
}

/**
 * A report of an SGX enclave.
 * @typedef {{cpuSvn: Uint8Array, miscSelect: number, flags: bigint, attributes: Uint8Array, xfrm: bigint, mrEnclave: string,
 *   mrSigner: string, configId: Uint8Array, productId: number, svn: number, configSvn: number, reportData: Uint8Array}} SgxReport
 */

/** @param {Uint8Array} bytes @returns {SgxReport} */
export function parseSgxReport(bytes) {
  const source = view(bytes);
  return {
    cpuSvn: bytes.subarray(0, 16),
    miscSelect: source.getUint32(16, true),
    attributes: bytes.subarray(48, 64),
    flags: source.getBigUint64(48, true),
    xfrm: source.getBigUint64(56, true),
    mrEnclave: toHex(bytes.subarray(64, 96)),
    mrSigner: toHex(bytes.subarray(128, 160)),
    configId: bytes.subarray(192, 256),
    productId: source.getUint16(256, true),
    svn: source.getUint16(258, true),
    configSvn: source.getUint16(260, true),
    reportData: bytes.subarray(320, 384),
  };
}

/**
 * A report of a TDX trust domain.
 * @typedef {{teeTcbSvn: Uint8Array, teeTcbSvn2: Uint8Array | null, mrSeam: string, seamSigner: string, seamAttributes: Uint8Array, attributes: bigint, xfam: bigint,
 *   mrTd: string, mrConfigId: string, mrOwner: string, mrOwnerConfig: string, rtmr: string[], reportData: Uint8Array,
 *   serviceTd: Uint8Array | null}} TdxReport
 */

/** @param {Uint8Array} bytes @returns {TdxReport} */
function parseTdxReport(bytes) {
  const source = view(bytes);
  /** @param {number} at */
  const digest = (at) => toHex(bytes.subarray(at, at + 48));
  return {
    teeTcbSvn: bytes.subarray(0, 16),
    teeTcbSvn2: bytes.length === TDX_15_BODY ? bytes.subarray(584, 600) : null,
    mrSeam: digest(16),
    seamSigner: digest(64),
    seamAttributes: bytes.subarray(112, 120),
    attributes: source.getBigUint64(120, true),
    xfam: source.getBigUint64(128, true),
    mrTd: digest(136),
    mrConfigId: digest(184),
    mrOwner: digest(232),
    mrOwnerConfig: digest(280),
    rtmr: [328, 376, 424, 472].map(digest),
    reportData: bytes.subarray(520, 584),
    serviceTd: bytes.length === TDX_15_BODY ? bytes.subarray(600, 648) : null,
  };
}

/**
 * @typedef {object} Quote
 * @property {"sgx" | "tdx"} tee
 * @property {Uint8Array} signed header and body
 * @property {SgxReport | null} sgx
 * @property {TdxReport | null} tdx
 * @property {Uint8Array} signature
 * @property {Uint8Array} attestationKey x and y
 * @property {Uint8Array} qeReport
 * @property {Uint8Array} qeReportSignature
 * @property {Uint8Array} qeAuthData
 * @property {string} pckChain PEM
 */

/** Which hardware a quote is of by its header, or null. @param {Uint8Array} bytes */
export function quoteTee(bytes) {
  if (bytes.length < HEADER) return null;
  const [version, type] = [view(bytes).getUint16(0, true), view(bytes).getUint32(4, true)];
  if (version === 3 && type === 0) return "sgx";
  return (version === 4 || version === 5) && type === 0x81 ? "tdx" : null;
}

/** @param {Uint8Array} bytes @returns {Quote} */
export function parseQuote(bytes) {
  const tee = quoteTee(bytes) ?? fail("is of a version that is not known");
  const cursor = new Cursor(bytes);
  const header = cursor.take(HEADER);
  if (view(header).getUint16(2, true) !== ECDSA_P256) fail("is not signed with ECDSA P-256");
  if (toHex(header.subarray(12, 28)) !== INTEL_QE) fail("is not of Intel's quoting enclave");
  const body = cursor.take(bodyLength(cursor, view(header).getUint16(0, true)));
  const signed = bytes.subarray(0, cursor.at);
  const data = cursor.sized();
  if (!allZero(bytes.subarray(cursor.at))) fail("has something behind it");
  const [signature, attestationKey] = [data.take(64), data.take(64)];
  const certified = tee === "sgx" ? data : nested(data);
  const [qeReport, qeReportSignature] = [certified.take(SGX_BODY), certified.take(64)];
  if (certified.u16() !== QE_AUTH) fail("has authentication data of another length");
  const qeAuthData = certified.take(QE_AUTH);
  if (certified.u16() !== PCK_CHAIN) fail("does not hold the chain of its PCK certificate");
  const chain = certified.sized();
  certified.end();
  data.end();
  const pckChain = fromUtf8(chain.bytes, "the chain of the PCK certificate");
  return {
    tee, signed, signature, attestationKey, qeReport, qeReportSignature, qeAuthData, pckChain,
    sgx: tee === "sgx" ? parseSgxReport(body) : null,
    tdx: tee === "tdx" ? parseTdxReport(body) : null,
  };
}

/** @param {Cursor} cursor behind the header @param {number} version */
function bodyLength(cursor, version) {
  if (version === 3) return SGX_BODY;
  if (version === 4) return TDX_10_BODY;
  const [type, length] = [cursor.u16(), cursor.u32()];
  if (!((type === 2 && length === TDX_10_BODY) || (type === 3 && length === TDX_15_BODY))) fail("has a body that is not known");
  return length;
}

/** @param {Cursor} data */
function nested(data) {
  if (data.u16() !== QE_REPORT) fail("does not hold the report of its quoting enclave");
  return data.sized();
}
