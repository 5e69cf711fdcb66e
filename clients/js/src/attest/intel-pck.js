/** What Intel's PCK certificate says of a platform: extension 1.2.840.113741.1.13.1. */

import { toHex } from "../base/bytes.js";
import { MalformedError } from "../base/errors.js";
import { boolean, OCTET_STRING, oid, parseDer, SEQUENCE, smallInteger } from "./der.js";

const SGX = "1.2.840.113741.1.13.1";
const COMPONENTS = 16;

/** @typedef {{fmspc: string, pceId: string, components: number[], pceSvn: number, flags: string[]}} Platform */

/** @param {import("./der.js").Element} element @returns {Map<string, import("./der.js").Element>} */
function readMap(element) {
  return new Map(
    element.expect(SEQUENCE, "a PCK extension").children().map((each) => {
      const [name, value] = each.expect(SEQUENCE, "a PCK extension").children();
      if (value === undefined) throw new MalformedError("a PCK extension is wrong");
      return [oid(name), value];
    }),
  );
}

/** @param {Map<string, import("./der.js").Element>} map @param {string} name */
function need(map, name) {
  const found = map.get(name);
  if (found === undefined) throw new MalformedError(`the PCK certificate lacks ${name}`);
  return found;
}

/** @param {import("./certificates.js").Certificate} certificate @returns {Platform} */
export function readPlatform(certificate) {
  const extension = certificate.extensions.get(SGX);
  if (extension === undefined) throw new MalformedError("the PCK certificate does not name its platform");
  const parts = readMap(parseDer(extension.value));
  const tcb = readMap(need(parts, `${SGX}.2`));
  const configuration = parts.get(`${SGX}.7`);
  const flags = configuration === undefined ? new Map() : readMap(configuration);
  const names = [["dynamic_platform", `${SGX}.7.1`], ["cached_keys", `${SGX}.7.2`], ["smt_enabled", `${SGX}.7.3`]];
  return {
    fmspc: toHex(need(parts, `${SGX}.4`).expect(OCTET_STRING, "FMSPC").content),
    pceId: toHex(need(parts, `${SGX}.3`).expect(OCTET_STRING, "PCE id").content),
    components: Array.from({ length: COMPONENTS }, (_, at) => smallInteger(need(tcb, `${SGX}.2.${at + 1}`))),
    pceSvn: smallInteger(need(tcb, `${SGX}.2.17`)),
    flags: names.filter(([, name]) => flags.has(name) && boolean(flags.get(name))).map(([flag]) => flag),
  };
}
