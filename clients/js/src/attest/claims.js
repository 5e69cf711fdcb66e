/**
 * What verified evidence says.
 *
 * @typedef {object} IntelClaims
 * @property {"sgx" | "tdx"} kind
 * @property {string} identity SHA-256 of the signed part of the quote
 * @property {import("./quote.js").SgxReport | null} sgx
 * @property {import("./quote.js").TdxReport | null} tdx
 * @property {Uint8Array} reportData
 * @property {string} tcbStatus
 * @property {string} qeStatus
 * @property {string[]} advisories
 * @property {string[]} platformFlags
 * @property {number} tcbEvaluation
 * @property {number} collateralIssuedMs of the oldest part
 * @property {number} collateralEndsMs
 *
 * @typedef {object} SnpClaims
 * @property {"snp"} kind
 * @property {string} identity
 * @property {import("./snp-report.js").SnpReport} snp
 * @property {Uint8Array} reportData
 * @property {Record<string, number>} reportedTcb
 * @property {Record<string, number>} committedTcb
 * @property {Record<string, number>} launchTcb
 * @property {string} product
 * @property {boolean} revocations whether a revocation list was checked
 * @property {number | null} collateralIssuedMs of the revocation list
 * @property {number} collateralEndsMs
 *
 * @typedef {IntelClaims | SnpClaims} HardwareClaims
 */

export {};
