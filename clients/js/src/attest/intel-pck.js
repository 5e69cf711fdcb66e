/** What Intel's PCK certificate says of a platform: extension 1.2.840.113741.1.13.1 (quotes.md, 2.6). */

import { toHex } from "../base/bytes.js";
import { MalformedError } from "../base/errors.js";
import { boolean, ENUMERATED, OCTET_STRING, oid, parseDer, SEQUENCE, smallInteger } from "./der.js";

const SGX = "1.2.840.113741.1.13.1";
const FLAGS = ["dynamic_platform", "cached_keys", "smt_enabled"];

/** @typedef {import("./der.js").Element} Element */
/** @typedef {{fmspc: string, cpuSvn: Uint8Array, pceSvn: number, flags: string[]}} Platform */

/** @param {string} reason @returns {never} */
const fail = (reason) => {
  throw new MalformedError(`the PCK certificate ${reason}`);
};

/** @param {Element} element @returns {Map<string, Element>} */
function readMap(element) {
  const entries = element.expect(SEQUENCE, "a PCK extension").children().map((each) => {
    const [name, value] = each.expect(SEQUENCE, "a PCK extension").children();
    return /** @type {[string, Element]} */ ([oid(name ?? fail("is wrong")), value ?? fail("is wrong")]);
  });
  const map = new Map(entries);
  return map.size === entries.length ? map : fail("names something twice");
}

/** @param {Map<string, Element>} map @param {string} name */
const need = (map, name) => map.get(`${SGX}.${name}`) ?? fail(`lacks ${SGX}.${name}`);

/** @param {Map<string, Element>} map @param {string} name @param {number} length */
function bytes(map, name, length) {
  const { content } = need(map, name).expect(OCTET_STRING, name);
  return content.length === length ? content : fail(`has ${SGX}.${name} of another length`);
}

/** @param {import("./certificates.js").Certificate} certificate @returns {Platform} */
export function readPlatform(certificate) {
  const extension = certificate.extensions.get(SGX) ?? fail("does not name its platform");
  const parts = readMap(parseDer(extension.value));
  need(parts, "1").expect(OCTET_STRING, "PPID");
  need(parts, "3").expect(OCTET_STRING, "PCEID");
  need(parts, "5").expect(ENUMERATED, "the type of SGX");
  const tcb = readMap(need(parts, "2"));
  const configuration = parts.get(`${SGX}.7`);
  const flags = configuration === undefined ? new Map() : readMap(configuration);
  const pceSvn = smallInteger(need(tcb, "2.17"));
  return {
    fmspc: toHex(bytes(parts, "4", 6)),
    cpuSvn: bytes(tcb, "2.18", 16),
    pceSvn: pceSvn <= 0xffff ? pceSvn : fail("has a PCESVN that is too large"),
    flags: FLAGS.filter((_, at) => flags.has(`${SGX}.7.${at + 1}`) && boolean(flags.get(`${SGX}.7.${at + 1}`))),
  };
}
