import assert from "node:assert/strict";

import { concat, fromHex, toHex } from "../../src/base/bytes.js";
import { keySchedule } from "../../src/crypto/hpke.js";
import { parseContent } from "../../src/seal/content.js";
import { parseEnvelope } from "../../src/seal/envelope.js";
import { openRequest, sealReply, Session } from "../../src/seal/exchange.js";
import { pad, unpad } from "../../src/seal/padding.js";
import { findSuite, keyId } from "../../src/seal/suites.js";

/** Values that come out as parts of others: the envelopes could not be equal otherwise. */
const WITHIN = [
  "dh", "eae_prk", "expanded_seed", "ml_kem_secret", "key_schedule_context", "hpke_secret", "request_T", "request_K", "request_start",
  "request_aes_key", "request_base_nonce", "request_commitment", "request_body", "reply_start", "reply_T", "reply_K", "reply_aes_key",
  "reply_base_nonce", "reply_commitment", "reply_body",
];
const GIVEN = ["key_seed", "ephemeral_private", "ml_kem_m", "session_secret", "sid", "rid", "request_salt", "reply_nonce", "reply_salt", "request_content", "reply_content"];
const COMPARED = ["public_key", "enc", "shared_secret", "kid", "hpke_info", "hpke_key", "hpke_base_nonce", "key_blob", "request_padded", "request_digest", "request_envelope", "reply_padded", "reply_envelope"];

/** Gives prepared bytes in place of random ones, in the order in which they are drawn. */
function drawn(...values) {
  return (length) => {
    const value = values.shift();
    assert.equal(value?.length, length);
    return value;
  };
}

async function work({ suite: id, steps }) {
  assert.deepEqual(Object.keys(steps).filter((key) => ![...WITHIN, ...GIVEN, ...COMPARED].includes(key)), []);
  const values = Object.fromEntries(Object.entries(steps).map(([key, text]) => [key, fromHex(text)]));
  const suite = findSuite(id);
  const same = (key, bytes) => assert.equal(toHex(bytes), steps[key], key);

  const publicKey = await suite.kem.publicKey(values.key_seed);
  same("public_key", publicKey);
  const kid = await keyId(suite, publicKey);
  assert.equal(kid, steps.kid);
  const coins = { x25519: values.ephemeral_private, mlkem: values.ml_kem_m };
  const { shared, enc } = await suite.kem.encapsulate(publicKey, coins);
  same("enc", enc);
  same("shared_secret", shared);
  const { key, nonce } = await keySchedule(suite.kem.id, shared, values.hpke_info);
  same("hpke_key", key);
  same("hpke_base_nonce", nonce);

  const session = await Session.start({ kid, suite, publicKey }, drawn(values.session_secret, values.sid), coins);
  same("key_blob", session.keyBlob);
  same("request_padded", pad(values.request_content));
  const [header] = [parseEnvelope(values.request_envelope).header];
  const model = { name: header.model, version: header.version, digest: header.model_digest };
  const request = await session.seal(model, values.request_content, header.deadline_ms, drawn(values.rid, values.request_salt));
  same("request_digest", request.requestDigest);
  same("request_envelope", request.envelope);

  const opened = await openRequest(suite, values.key_seed, request.envelope);
  same("request_content", concat(values.request_content.subarray(0, 5), opened.content.json, opened.content.binary));
  same("reply_padded", pad(values.reply_content));
  const { instance } = parseEnvelope(values.reply_envelope).header;
  const reply = await sealReply(suite, opened, values.reply_content, instance, drawn(values.reply_nonce, values.reply_salt));
  same("reply_envelope", reply);
  const { padded } = await request.open(parseEnvelope(reply));
  same("reply_padded", padded);
  assert.equal(parseContent(unpad(padded)).kind, 1);
}

export const worked = {
  description: "context",
  cases: (cases) => cases.map((each) => [each.name, () => work(each)]),
};
