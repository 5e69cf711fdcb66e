/** Passports beside a published document: in place of evidence, besides it, and ignored. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { parsePolicy } from "../src/attest/policy.js";
import { fromBase64, toHex, utf8 } from "../src/base/bytes.js";
import { formatTrustReport, trustReport } from "../src/client/report.js";
import { sha256 } from "../src/crypto/primitives.js";
import { verifyDocument } from "../src/documents/directory.js";
import { refused } from "./vectors/refusing.js";

const NOW_MS = 1750000001000;
const history = JSON.parse(readFileSync(new URL("../../../tests/vectors/history.json", import.meta.url), "utf8"));
const settings = fromBase64(history.deployment);
const { tee, deployment, keybroker, insecure_simulated_root } = JSON.parse(Buffer.from(settings).toString());
const document = JSON.parse(Buffer.from(fromBase64(history.directory_newest)).toString());
const bound = fromBase64(document.evidence.bound);
const claimed = JSON.parse(Buffer.from(bound).toString());
const manifest_digest = toHex(await sha256(settings));

const pair = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]);
const { kty, crv, x } = await crypto.subtle.exportKey("jwk", pair.publicKey);
const base64url = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

async function passport(changes = {}, own = {}) {
  const claims = {
    eat_profile: "tag:ietf.org,2026:rats/ear#04", iat: NOW_MS / 1000, exp: NOW_MS / 1000 + 60, ear_verifier_id: { developer: "d", build: "b" },
    submods: {
      keybroker: {
        ear_status: "contraindicated",
        sealflow_passport: {
          format: 1, bound_digest: toHex(await sha256(bound)), role: claimed.role, tee: claimed.tee, deployment: claimed.deployment,
          manifest_digest: claimed.manifest_digest, form: "sgx", measurement: keybroker.measurements[0], signer: "", svn: 9, product_id: 0, registers: {},
          tcb_status: "UpToDate", qe_status: "UpToDate", advisories: [], collateral_issued_ms: NOW_MS, ...own,
        },
      },
    },
    ...changes,
  };
  const signed = `${base64url({ alg: "EdDSA", typ: "eat+jwt" })}.${base64url(claims)}`;
  return `${signed}.${Buffer.from(await crypto.subtle.sign("Ed25519", pair.privateKey, utf8(signed))).toString("base64url")}`;
}

const policyWith = (verifiers) => parsePolicy({ tee, deployment, manifest_digest, keybroker, insecure_simulated_root, ...(verifiers ? { verifiers } : {}) });
const verifier = (instead_of_evidence) => ({ name: "auditor", key: { kty, crv, x }, instead_of_evidence });
const verify = (changes, verifiers) => verifyDocument(utf8(JSON.stringify({ ...document, ...changes })), policyWith(verifiers), NOW_MS);
const broken = { ...document.evidence, quote: "AAAA" };

test("in place of evidence, and the report says whose word it is", async () => {
  const { directory, approval } = await verify({ evidence: broken, passports: ["x", await passport()] }, [verifier(true)]);
  assert.equal(approval.hardware, null);
  assert.equal(approval.validUntilMs, NOW_MS + 60_000);
  const report = trustReport({ directory, approval, continuity: "first" });
  assert.deepEqual([report.verifiers, report.evidenceChecked, report.measurement], [["auditor"], false, keybroker.measurements[0]]);
  assert.match(formatTrustReport(report), /of auditor, in place of evidence/);
});

test("without an acceptable one, the evidence is appraised", async () => {
  for (const passports of [undefined, [], ["x"], [await passport({ exp: NOW_MS / 1000 - 1, iat: NOW_MS / 1000 - 9 })], [await passport({}, { svn: 0, measurement: "00".repeat(32) })]]) {
    const { approval } = await verify({ passports }, [verifier(true)]);
    assert.notEqual(approval.hardware, null);
    assert.deepEqual(approval.passports, []);
    await refused(() => verify({ passports, evidence: broken }, [verifier(true)]), "quote");
  }
});

test("besides evidence: demanded, and no replacement", async () => {
  const { approval } = await verify({ passports: [await passport()] }, [verifier(false)]);
  assert.notEqual(approval.hardware, null);
  assert.equal(approval.validUntilMs, NOW_MS + 60_000);
  await refused(async () => verify({ passports: [await passport()], evidence: broken }, [verifier(false)]), "quote");
  await refused(() => verify({}, [verifier(false)]), "passport_missing");
  await refused(() => verify({ passports: ["a.b.c"] }, [verifier(false)]), "passport_missing");
  await refused(async () => verify({ passports: [await passport({}, { deployment: "other" })] }, [verifier(false)]), "passport_bound");
  await refused(async () => verify({ passports: [await passport({}, { measurement: "00".repeat(32) })] }, [verifier(false)]), ["measurement"]);
});

test("who names no verifier does not look at passports", async () => {
  await verify({ passports: [1, {}] });
  await refused(() => verify({ passports: [1, {}] }, [verifier(true)]), "document");
  await refused(() => verify({ passports: Array(9).fill("x") }, [verifier(true)]), "document");
});

test("keys of verifiers", async () => {
  const wrong = [
    { ...verifier(true), key: { kty, crv, x, d: x } }, { ...verifier(true), key: { kty, crv, x: `${x}=` } }, { ...verifier(true), key: { kty, crv, x: x.slice(1) } },
    { ...verifier(true), key: { kty, crv, x: base64url(Buffer.alloc(32, 1)) } }, { ...verifier(true), key: { kty, crv, x: base64url(Buffer.alloc(32)) } },
    { ...verifier(true), key: { kty: "EC", crv: "P-256", x, y: x } }, { ...verifier(true), key: { kty: "RSA", n: x } }, { ...verifier(true), more: 1 },
  ];
  for (const each of wrong) await refused(async () => policyWith([each]), "config");
  await refused(async () => policyWith([verifier(true), { ...verifier(true), name: "other" }]), "config");
});
