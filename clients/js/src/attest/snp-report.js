/** SEV-SNP attestation reports, unverified (AMD publication 56860, section 7.3). Integers are little-endian. */

import { allZero, toHex, view } from "../base/bytes.js";
import { MalformedError } from "../base/errors.js";

export const SNP_REPORT_BYTES = 1184;
const SIGNED_BYTES = 0x2a0;
const NUMBER_BYTES = 72;
const FIELD_BYTES = 48;
const ECDSA_P384_SHA384 = 1;
const VCEK = 0;
const VLEK = 1;

const BEFORE_TURIN = { bootloader: 0, tee: 1, snp: 6, microcode: 7 };
const SINCE_TURIN = { fmc: 0, bootloader: 1, tee: 2, snp: 3, microcode: 7 };

/** The parts of each product line's TCB. @type {Readonly<Record<string, readonly string[]>>} */
export const PRODUCT_PARTS = Object.freeze({
  Milan: Object.keys(BEFORE_TURIN), Genoa: Object.keys(BEFORE_TURIN), Turin: Object.keys(SINCE_TURIN),
});

/** @param {string} product */
const tcbParts = (product) => (product === "Turin" ? SINCE_TURIN : BEFORE_TURIN);

/** @param {string} product @param {Uint8Array} tcb @returns {Record<string, number>} */
export const readTcb = (product, tcb) =>
  Object.fromEntries(Object.entries(tcbParts(product)).map(([part, at]) => [part, tcb[at]]));

/**
 * @typedef {{signed: Uint8Array, signature: Uint8Array | null, version: number, policy: bigint, vmpl: number, chipKeyHidden: boolean,
 *   leaf: "vcek" | "vlek", reportData: Uint8Array, measurement: string, hostData: string, idKeyDigest: string, guestSvn: number,
 *   reportedTcb: Uint8Array, committedTcb: Uint8Array, launchTcb: Uint8Array, chipId: Uint8Array,
 *   authorKeyDigest: string, platformInfo: bigint, cpu: string}} SnpReport
 */

/** @param {string} reason @returns {never} */
const fail = (reason) => {
  throw new MalformedError(`the report ${reason}`);
};

/** r and s, big-endian, each of 48 bytes; null if one is larger. @param {Uint8Array} field */
function readSignature(field) {
  const whole = new Uint8Array(2 * FIELD_BYTES);
  for (const number of [0, 1]) {
    const digits = field.slice(number * NUMBER_BYTES, (number + 1) * NUMBER_BYTES).reverse();
    if (!allZero(digits.subarray(0, NUMBER_BYTES - FIELD_BYTES))) return null;
    whole.set(digits.subarray(NUMBER_BYTES - FIELD_BYTES), number * FIELD_BYTES);
  }
  return whole;
}

/** @param {Uint8Array} bytes @returns {SnpReport} */
export function parseSnpReport(bytes) {
  if (bytes.length !== SNP_REPORT_BYTES) fail("has another length");
  const source = view(bytes);
  const version = source.getUint32(0, true);
  if (version < 2 || version > 5) fail("is of a version that is not known");
  if (source.getUint32(0x34, true) !== ECDSA_P384_SHA384) fail("is not signed with ECDSA P-384");
  if (!allZero(bytes.subarray(SIGNED_BYTES + 2 * NUMBER_BYTES))) fail("has something behind its signature");
  const keys = source.getUint32(0x48, true);
  const signer = (keys >> 2) & 7;
  if (signer !== VCEK && signer !== VLEK) fail("is not signed");
  return {
    version,
    signed: bytes.subarray(0, SIGNED_BYTES),
    signature: readSignature(bytes.subarray(SIGNED_BYTES)),
    guestSvn: source.getUint32(4, true),
    policy: source.getBigUint64(8, true),
    vmpl: source.getUint32(0x30, true),
    chipKeyHidden: (keys & 2) !== 0,
    leaf: signer === VCEK ? "vcek" : "vlek",
    reportData: bytes.subarray(0x50, 0x90),
    measurement: toHex(bytes.subarray(0x90, 0xc0)),
    hostData: toHex(bytes.subarray(0xc0, 0xe0)),
    idKeyDigest: toHex(bytes.subarray(0xe0, 0x110)),
    reportedTcb: bytes.subarray(0x180, 0x188),
    committedTcb: bytes.subarray(0x1e0, 0x1e8),
    launchTcb: bytes.subarray(0x1f0, 0x1f8),
    authorKeyDigest: toHex(bytes.subarray(0x110, 0x140)),
    platformInfo: source.getBigUint64(0x40, true),
    cpu: version > 2 ? toHex(bytes.subarray(0x188, 0x18b)) : "", // family, model, stepping
    chipId: bytes.subarray(0x1a0, 0x1e0),
  };
}
