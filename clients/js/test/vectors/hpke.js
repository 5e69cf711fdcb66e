import assert from "node:assert/strict";
import { inflateSync } from "node:zlib";

import { fromHex, toHex } from "../../src/base/bytes.js";
import { openChunked } from "../../src/crypto/cobblestone.js";
import { hpkeSeal, keySchedule } from "../../src/crypto/hpke.js";
import { dhkemX25519, xwing as xwingKem } from "../../src/crypto/kem.js";
import { aesKey, aesOpen, sha512 } from "../../src/crypto/primitives.js";
import { x25519FromSeed, x25519Shared } from "../../src/crypto/x25519.js";
import { refused } from "./refusing.js";

const HKDF_SHA256 = 1;
const AES_256_GCM = 2;

/** Every vector has a KEM of ours; those of another KDF or AEAD show the KEM alone. */
const suiteVectors = (kem) => (cases) =>
  cases.map((each, at) => {
    const whole = each.kdf_id === HKDF_SHA256 && each.aead_id === AES_256_GCM;
    return [
      `${at}: ${whole ? "whole" : "KEM"}`,
      async () => {
        assert.equal(each.kem_id, kem.id);
        const seed = fromHex(each.skRm);
        assert.equal(toHex(await kem.publicKey(seed)), each.pkRm);
        const shared = await kem.decapsulate(seed, fromHex(each.enc));
        assert.equal(toHex(shared), each.shared_secret);
        if (!whole) return;
        const { key, nonce } = await keySchedule(kem.id, shared, fromHex(each.info));
        assert.equal(toHex(key), each.key);
        assert.equal(toHex(nonce), each.base_nonce);
        const { aad, ct, pt } = each.encryption;
        assert.equal(toHex(await aesOpen(await aesKey(key, "decrypt"), nonce, fromHex(ct), fromHex(aad))), pt);
      },
    ];
  });

export const rfc9180 = { source: "context", vectors: suiteVectors(dhkemX25519) };
export const xwing = { source: "context", vectors: suiteVectors(xwingKem) };

const header = { algorithm: "context", header: "context", notes: "context", numberOfTests: "context", schema: "context" };

export const x25519 = {
  ...header,
  testGroups: (groups) =>
    groups.flatMap(({ type, curve, tests }) => {
      assert.deepEqual([type, curve], ["XdhComp", "curve25519"]);
      return tests.map((each) => [
        `${each.tcId}`,
        async () => {
          const { privateKey } = await x25519FromSeed(fromHex(each.private));
          const peer = fromHex(each.public);
          const shared = await x25519Shared(privateKey, peer);
          if (each.flags.includes("ZeroSharedSecret")) {
            assert.equal(shared, null);
            await refused(() => hpkeSeal(dhkemX25519, peer, new Uint8Array(0), new Uint8Array(1)), "malformed");
          } else {
            assert.equal(toHex(shared), each.shared);
          }
        },
      ]);
    }),
};

export const chunked = {
  ...header,
  testGroups: (groups) =>
    groups.flatMap(({ aead, sha, tests }) => {
      assert.deepEqual([aead, sha], ["AEAD_AES_256_GCM", "SHA-512"]);
      return tests.map((each) => [
        `${each.tcId}: ${each.comment}`,
        async () => {
          const sealed = new Uint8Array(inflateSync(Buffer.from(each.ct, "hex")));
          const run = () => openChunked(fromHex(each.key), fromHex(each.ctx), sealed);
          if (each.result !== "valid") return refused(run, "open_failed");
          const opened = await run();
          assert.equal(opened.length, each.msgLength);
          assert.equal(toHex(await sha512(opened)), each.msgSha512);
        },
      ]);
    }),
};
