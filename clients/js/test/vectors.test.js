/**
 * All vectors of tests/vectors, as data. A file, a section or a kind of case that is not known here fails: a client must
 * not pass by not looking.
 */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

import { parseObject } from "../src/base/json.js";
import { attestation } from "./vectors/attestation.js";
import { directory, ed25519, evidence, log, logPins, lookup, policies, receiptReplies } from "./vectors/documents.js";
import { envelope, exchange } from "./vectors/exchange.js";
import { history } from "./vectors/history.js";
import { chunked, rfc9180, x25519, xwing } from "./vectors/hpke.js";
import { classes, contents, envelopes, padding, replies } from "./vectors/messages.js";
import { openinfer } from "./vectors/openinfer.js";
import { passports } from "./vectors/passports.js";
import { sealed } from "./vectors/sealed.js";
import { worked } from "./vectors/worked.js";

const ROOT = fileURLToPath(new URL("../../../tests/vectors", import.meta.url));

/** Handlers by file, then by section; text instead of a handler says why a section is not a client's concern. */
const HANDLERS = {
  "attestation.json": attestation,
  "classes.json": classes,
  "contents.json": contents,
  "directory-payload.json": directory,
  "directory.json": directory,
  "ed25519.json": ed25519,
  "envelopes.json": envelopes,
  "evidence/appraisal.json": evidence,
  "evidence/bound.json": evidence,
  "evidence/form.json": evidence,
  "evidence/hardware.json": evidence,
  "evidence/sgx-collateral.json": evidence,
  "evidence/sgx-levels.json": evidence,
  "evidence/sgx.json": evidence,
  "evidence/snp.json": evidence,
  "evidence/tdx.json": evidence,
  "grants.json": "grants are opened by workers",
  "links.json": directory,
  "log-pins.json": logPins,
  "log.json": log,
  "lookup.json": lookup,
  "names.json": contents,
  "numbers.json": contents,
  "orders.json": "orders are given by owners and operators, and read by key brokers",
  "packages.json": "packages are read by workers",
  "padding.json": padding,
  "passport.json": passports,
  "policies.json": policies,
  "proofs.json": directory,
  "publications.json": "publications are read by key brokers",
  "receipt-replies.json": receiptReplies,
  "receipts.json": "kept receipts are judged with a whole log, by `sealflow receipt verify`",
  "replies.json": replies,
  "requests.json": "requests are opened and refused by workers",
  "settings.json": "settings of a deployment reach a client as their digest",
  "states.json": "states are opened by key brokers",
  "tenant-tokens.json": "tokens are judged by workers",
  "tenant-usage.json": "orders are judged by workers, records by the tenant authority",
  "witnesses.json": directory,
  "statements.json": "statements are read by workers and key brokers",
  "envelope.json": envelope,
  "exchange.json": exchange,
  "history.json": history,
  "hpke/hpke-pq-xwing.json": xwing,
  "hpke/rfc9180-x25519.json": rfc9180,
  "openinfer/messages.json": openinfer,
  "sealed.json": sealed,
  "wycheproof/c2sp_chunked_encryption_aes_256_gcm_test.json": chunked,
  "worked_exchange.json": worked,
  "wycheproof/x25519_test.json": x25519,
};

const counts = { passed: 0, left: 0 };

const files = readdirSync(ROOT, { recursive: true, withFileTypes: true })
  .filter((each) => each.isFile() && each.name.endsWith(".json") && each.name !== "schema.json")
  .map((each) => relative(ROOT, join(each.parentPath, each.name)));

test("every file of vectors is known", () => {
  assert.deepEqual(files.sort(), Object.keys(HANDLERS).sort());
});

for (const [file, sections] of Object.entries(HANDLERS)) {
  const bytes = readFileSync(join(ROOT, file));
  const plain = JSON.parse(bytes.toString("utf8"));
  const whole = "rules" in plain ? parseObject(bytes, file, { numbers: "data" }) : plain; // with numbers as they stand
  if (typeof sections === "string") {
    counts.left += whole.cases.length;
    continue;
  }
  test(file, async (t) => {
    for (const section of Object.keys(whole)) {
      const handler = sections[section];
      assert.notEqual(handler, undefined, `section ${section} of ${file} is not known`);
      if (typeof handler !== "function") {
        if (handler !== "context") counts.left += size(whole[section]);
        continue;
      }
      for (const [name, run] of handler(whole[section], whole)) {
        await t.test(`${section}: ${name}`, async () => {
          await run();
          counts.passed++;
        });
      }
    }
  });
}

/** How many cases a section has. */
function size(section) {
  if (typeof section !== "object" || section === null) return 1;
  return Object.keys(section).length;
}

after(() => console.log(`vectors: ${counts.passed} passed, ${counts.left} not a client's concern`));
