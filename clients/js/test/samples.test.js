/** Real hardware: quotes and reports with their recorded verdicts, under the makers' own roots. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { verifyIntelQuote } from "../src/attest/intel.js";
import { verifySnpReport } from "../src/attest/snp.js";
import { utf8 } from "../src/base/bytes.js";
import { refused } from "./vectors/refusing.js";

const FOLDER = fileURLToPath(new URL("../../../tests/data/attestation/", import.meta.url));
const read = (name) => new Uint8Array(readFileSync(FOLDER + name));
const index = JSON.parse(readFileSync(`${FOLDER}index.json`, "utf8"));

for (const [name, each] of Object.entries(index.quotes)) {
  test(name, async () => {
    const verify = (quote) => verifyIntelQuote(quote, read(each.collateral), null, 1000 * each.verify_at);
    if (each.expect.verdict === "rejected") return refused(() => verify(read(name)), "quote");
    const claims = await verify(read(name));
    assert.equal(claims.tcbStatus, each.expect.tcb_status);
    assert.deepEqual(claims.advisories, [...each.expect.advisory_ids].sort());
    for (const at of [60, 400, 1000]) {
      const flipped = read(name);
      flipped[at] ^= 1;
      await refused(() => verify(flipped), "quote");
    }
  });
}

/** The DER of each certificate, in base64, of a PEM file. */
const certificates = (name) =>
  [...readFileSync(FOLDER + name, "utf8").matchAll(/-----BEGIN CERTIFICATE-----([^-]+)-----END/g)].map(([, body]) => body.replace(/\s/g, ""));

for (const [name, each] of Object.entries(index.snp_reports)) {
  test(name, async () => {
    const [intermediate, root] = certificates(each.chain);
    const collateral = { leaf: Buffer.from(read(each.leaf)).toString("base64"), intermediate, root, crl: "" };
    const at = Date.parse(each.leaf_valid[0].replace(" ", "T")) + 1000;
    const verify = (report, changes = {}) => verifySnpReport(report, utf8(JSON.stringify({ ...collateral, ...changes })), null, at);
    const claims = await verify(read(name));
    assert.equal(claims.snp.measurement, each.measurement);
    assert.equal(claims.product, "Milan");
    const flipped = read(name);
    flipped[0x90] ^= 1;
    await refused(() => verify(flipped), "quote_signature");
    await refused(() => verify(read(name), { root: intermediate }), "root");
    await refused(() => verify(read(name), { intermediate: root }), "certificate");
  });
}
