/** Trust domains and suites (exchange.md, 1 and 2). */

import { concat, toHex, u16, utf8 } from "../base/bytes.js";
import { sha256 } from "../crypto/primitives.js";
import { dhkemX25519, xwing } from "../crypto/kem.js";

/** @typedef {"hardware" | "simulated"} TrustDomain */

/**
 * @typedef {object} Suite
 * @property {number} id
 * @property {"x-wing" | "x25519"} name
 * @property {TrustDomain} domain
 * @property {import("../crypto/kem.js").Kem} kem
 */

/** All known suites. @type {readonly Suite[]} */
export const SUITES = Object.freeze([
  { id: 0x0001, name: "x-wing", domain: "hardware", kem: xwing },
  { id: 0x0002, name: "x25519", domain: "hardware", kem: dhkemX25519 },
  { id: 0xf001, name: "x-wing", domain: "simulated", kem: xwing },
  { id: 0xf002, name: "x25519", domain: "simulated", kem: dhkemX25519 },
]);

/** @param {number} id */
export const findSuite = (id) => SUITES.find((suite) => suite.id === id);

/** @param {TrustDomain} domain @param {string} purpose */
export const label = (domain, purpose) =>
  utf8(`${domain === "hardware" ? "sealflow/1" : "sealflow-sim/1"} ${purpose}\0`);

/** The id of a key. @param {Suite} suite @param {Uint8Array} publicKey */
export async function keyId(suite, publicKey) {
  const digest = await sha256(concat(label(suite.domain, "kid"), u16(suite.id), publicKey));
  return (suite.domain === "simulated" ? "sim-" : "") + toHex(digest);
}
