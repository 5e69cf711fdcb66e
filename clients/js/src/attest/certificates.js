/**
 * X.509 certificates and revocation lists, as much as the hardware makers' chains need (RFC 5280): ECDSA P-256 of
 * Intel, RSA-PSS with SHA-384 of AMD.
 */

import { equal, toHex } from "../base/bytes.js";
import { MalformedError } from "../base/errors.js";
import { verifyEcdsa, verifyRsaPss } from "../crypto/primitives.js";
import { BIT_STRING, bitString, boolean, ecdsaSignature, INTEGER, OCTET_STRING, oid, isTime, parseDer, SEQUENCE, smallInteger, timeMs } from "./der.js";

const EC_PUBLIC_KEY = "1.2.840.10045.2.1";
const RSA = "1.2.840.113549.1.1.1";
const CURVES = /** @type {Record<string, "P-256" | "P-384">} */ ({ "1.2.840.10045.3.1.7": "P-256", "1.3.132.0.34": "P-384" });
const ECDSA_SHA256 = "1.2.840.10045.4.3.2";
const RSA_PSS = "1.2.840.113549.1.1.10";
const PSS_SHA384 = "3034a00f300d06096086480165030402020500a11c301a06092a864886f70d010108300d06096086480165030402020500a203020130";
const BASIC_CONSTRAINTS = "2.5.29.19";
const KEY_USAGE = "2.5.29.15";
const EXTENDED_KEY_USAGE = "2.5.29.37";
const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
const UNDERSTOOD = new Set([BASIC_CONSTRAINTS, KEY_USAGE, EXTENDED_KEY_USAGE]);
/** What a revocation list may mark as critical: its number, and nothing that changes what it covers. */
const CRL_UNDERSTOOD = new Set(["2.5.29.20", "2.5.29.35"]);
const KEY_CERT_SIGN = 0x04;
const CRL_SIGN = 0x02;

/** @param {string} reason @returns {never} */
const fail = (reason) => {
  throw new MalformedError(reason);
};

/** @typedef {{critical: boolean, value: Uint8Array}} Extension */

/** @param {import("./der.js").Element | undefined} wrapper @returns {Map<string, Extension>} */
function readExtensions(wrapper) {
  /** @type {Map<string, Extension>} */
  const found = new Map();
  const [list] = wrapper === undefined ? [] : wrapper.children();
  for (const each of list?.expect(SEQUENCE, "extensions").children() ?? []) {
    const parts = each.expect(SEQUENCE, "an extension").children();
    if (parts.length < 2 || parts.length > 3) fail("an extension is wrong");
    const name = oid(parts[0]);
    if (found.has(name)) fail("an extension occurs twice");
    const value = parts[parts.length - 1].expect(OCTET_STRING, "an extension").content;
    found.set(name, { critical: parts.length === 3 && boolean(parts[1]), value });
  }
  return found;
}

/** A signed structure: what was signed, by which algorithm, and the signature. @param {Uint8Array} der @param {string} what */
function readSigned(der, what) {
  const parts = parseDer(der).expect(SEQUENCE, what).children();
  if (parts.length !== 3) fail(`${what} is wrong`);
  const [tbs, algorithm, signature] = parts;
  return { tbs: tbs.expect(SEQUENCE, what), algorithm: algorithm.expect(SEQUENCE, what), signature: bitString(signature) };
}

/** A certificate; nothing of it is verified. */
export class Certificate {
  /** @param {Uint8Array} der */
  constructor(der) {
    this.der = der;
    const { tbs, algorithm, signature } = readSigned(der, "a certificate");
    this.tbs = tbs.whole;
    this.algorithm = algorithm;
    this.signature = signature;
    const parts = tbs.children();
    const version = parts[0]?.tag === 0xa0 ? smallInteger(parts.shift()?.children()[0] ?? fail("a certificate is wrong")) : 0;
    if (version !== 2 || parts.length < 6) fail("a certificate is not of version 3");
    const [serial, inner, issuer, validity, subject, key] = parts;
    if (!equal(inner.whole, algorithm.whole)) fail("a certificate names two algorithms");
    this.serial = toHex(serial.expect(INTEGER, "a serial number").content);
    this.issuer = issuer.expect(SEQUENCE, "an issuer").whole;
    this.subject = subject.expect(SEQUENCE, "a subject").whole;
    const times = validity.expect(SEQUENCE, "a validity").children();
    if (times.length !== 2) fail("a validity is wrong");
    this.notBeforeMs = timeMs(times[0]);
    this.notAfterMs = timeMs(times[1]);
    this.spki = key.expect(SEQUENCE, "a public key").whole;
    this.key = readKey(key);
    this.extensions = readExtensions(parts.slice(6).find(({ tag }) => tag === 0xa3));
  }

  /** @param {number} nowMs */
  isInDate(nowMs) {
    return this.notBeforeMs <= nowMs && nowMs <= this.notAfterMs;
  }

  /** Whether all critical extensions are understood. */
  isUnderstood() {
    return [...this.extensions].every(([name, { critical }]) => !critical || UNDERSTOOD.has(name));
  }

  /** Path length of a CA, -1 of what is none. */
  pathLength() {
    const extension = this.extensions.get(BASIC_CONSTRAINTS);
    if (extension === undefined) return -1;
    const parts = parseDer(extension.value).expect(SEQUENCE, "basic constraints").children();
    if (parts.length === 0 || !boolean(parts[0])) return -1;
    return parts.length === 1 ? Infinity : smallInteger(parts[1]);
  }

  /** @param {number} bit */
  mayUse(bit) {
    const extension = this.extensions.get(KEY_USAGE);
    if (extension === undefined) return true;
    const { content } = parseDer(extension.value).expect(BIT_STRING, "key usage");
    return content.length > 1 && (content[1] & bit) !== 0;
  }

  /** Where it is limited to extended usages, one must be that of servers (quotes.md, 2.3). */
  hasGoodUsages() {
    const extension = this.extensions.get(EXTENDED_KEY_USAGE);
    return extension === undefined || parseDer(extension.value).expect(SEQUENCE, "usages").children().some((each) => oid(each) === SERVER_AUTH);
  }

  maySignCertificates() {
    return this.mayUse(KEY_CERT_SIGN);
  }

  maySignLists() {
    return this.mayUse(CRL_SIGN);
  }

  /** Whether it is signed with RSA-PSS and SHA-384, as AMD's are. */
  algorithmIsPss() {
    const [name, parameters] = this.algorithm.children();
    return name !== undefined && oid(name) === RSA_PSS && parameters !== undefined && isPssSha384(parameters);
  }

  /** Whether this certificate's key made a signature. @param {import("./der.js").Element} algorithm @param {Uint8Array} signature @param {Uint8Array} message */
  async verifies(algorithm, signature, message) {
    const [name, parameters] = algorithm.children();
    if (name === undefined) return false;
    switch (oid(name)) {
      case ECDSA_SHA256:
        return this.verifiesP256(ecdsaSignature(signature, 32), message);
      case RSA_PSS:
        return this.key.type === "RSA" && parameters !== undefined && isPssSha384(parameters) && verifyRsaPss(this.spki, signature, message);
      default:
        return false;
    }
  }

  /** @param {Uint8Array} signature r and s @param {Uint8Array} message */
  async verifiesP256(signature, message) {
    return this.key.type === "P-256" && verifyEcdsa("P-256", "SHA-256", this.key.point, signature, message);
  }

  /** Whether it names `issuer` as its issuer, is signed by its key, and that is an authority's. @param {Certificate} issuer */
  async isIssuedBy(issuer) {
    if (!equal(this.issuer, issuer.subject) || issuer.pathLength() < 0) return false;
    return issuer.verifies(this.algorithm, this.signature, this.tbs);
  }
}

/** The parameters of RSA-PSS with SHA-384 and a salt of 48 bytes; optional parts may be left out or NULL. @param {import("./der.js").Element} parameters */
function isPssSha384(parameters) {
  const text = toHex(parameters.whole);
  return text === PSS_SHA384 || text === PSS_SHA384.replace(/^3034/, "3039") + "a303020101";
}

/** @param {import("./der.js").Element} spki @returns {{type: "P-256" | "P-384" | "RSA" | "other", point: Uint8Array}} */
function readKey(spki) {
  const [algorithm, bits] = spki.children();
  if (bits === undefined) fail("a public key is wrong");
  const [name, parameters] = algorithm.expect(SEQUENCE, "a public key").children();
  const point = bitString(bits);
  if (oid(name) === EC_PUBLIC_KEY) {
    const type = CURVES[oid(parameters)];
    const length = type === "P-256" ? 65 : 97;
    if (type === undefined || point.length !== length || point[0] !== 4) fail("a public key is of another curve");
    return { type, point };
  }
  return { type: oid(name) === RSA ? "RSA" : "other", point };
}

/** A revocation list; nothing of it is verified. */
export class RevocationList {
  /** @param {Uint8Array} der */
  constructor(der) {
    const { tbs, algorithm, signature } = readSigned(der, "a revocation list");
    this.tbs = tbs.whole;
    this.algorithm = algorithm;
    this.signature = signature;
    const parts = tbs.children();
    if (parts.length < 4 || smallInteger(parts[0]) !== 1) fail("a revocation list is not of version 2");
    const [, inner, issuer, thisUpdate, nextUpdate] = parts;
    if (!equal(inner.whole, algorithm.whole)) fail("a revocation list names two algorithms");
    this.issuer = issuer.expect(SEQUENCE, "an issuer").whole;
    this.thisUpdateMs = timeMs(thisUpdate);
    const hasNext = isTime(nextUpdate);
    this.nextUpdateMs = hasNext ? timeMs(nextUpdate) : -Infinity; // one without it is over
    const rest = parts.slice(hasNext ? 5 : 4);
    const entries = rest[0]?.tag === SEQUENCE ? rest[0].children() : [];
    this.revoked = new Set(
      entries.map((entry) => toHex((entry.expect(SEQUENCE, "an entry").children()[0] ?? fail("an entry is wrong")).expect(INTEGER, "an entry").content)),
    );
    for (const [name, { critical }] of readExtensions(rest.find(({ tag }) => tag === 0xa0))) {
      if (critical && !CRL_UNDERSTOOD.has(name)) fail("a revocation list has a critical extension that is not known");
    }
  }

  /** @param {number} nowMs */
  isInDate(nowMs) {
    return this.thisUpdateMs <= nowMs && nowMs < this.nextUpdateMs;
  }

  /** @param {Certificate} issuer */
  async isIssuedBy(issuer) {
    if (!equal(this.issuer, issuer.subject)) return false;
    return issuer.verifies(this.algorithm, this.signature, this.tbs);
  }

  /** Whether it is the list of a certificate's issuer. @param {Certificate} certificate */
  covers(certificate) {
    return equal(certificate.issuer, this.issuer);
  }

  /** @param {Certificate} certificate of the list's issuer */
  revokes(certificate) {
    return this.revoked.has(certificate.serial);
  }
}

const MAX_CHAIN = 5;
const PEM = /-----BEGIN CERTIFICATE-----\s*([A-Za-z0-9+/=\s]+?)\s*-----END CERTIFICATE-----/g;

/**
 * The certificates of a PEM text.
 * @param {string} text
 * @param {{strict: boolean}} options strict: nothing but white space stands between and behind them
 * @returns {Certificate[]}
 */
export function parsePem(text, { strict }) {
  const blocks = [...text.matchAll(PEM)];
  if (strict && (!text.startsWith("-----BEGIN") || text.replace(PEM, "").trim() !== "")) fail("a chain of certificates holds other text");
  if (blocks.length > MAX_CHAIN) fail("a chain of certificates is too long");
  return blocks.map(([, body]) => new Certificate(fromPemBody(body)));
}

/** @param {string} body */
function fromPemBody(body) {
  try {
    return Uint8Array.from(atob(body.replace(/\s/g, "")), (each) => each.charCodeAt(0));
  } catch {
    return fail("a certificate is not base64");
  }
}
