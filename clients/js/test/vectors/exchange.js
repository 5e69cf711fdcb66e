import assert from "node:assert/strict";

import { fromHex, fromUtf8, toHex } from "../../src/base/bytes.js";
import { parseContent, parseError } from "../../src/seal/content.js";
import { parseEnvelope } from "../../src/seal/envelope.js";
import { openRequest, OutgoingRequest } from "../../src/seal/exchange.js";
import { unpad } from "../../src/seal/padding.js";
import { findSuite, keyId } from "../../src/seal/suites.js";
import { refused } from "./refusing.js";

export const envelope = {
  max_body_bytes: "context",
  accept: (cases, whole) =>
    Object.entries(cases).map(([name, text]) => [name, () => void parseEnvelope(fromHex(text), whole.max_body_bytes)]),
  reject: (cases, whole) =>
    Object.entries(cases).map(([name, text]) => [
      name,
      () => refused(async () => parseEnvelope(fromHex(text), whole.max_body_bytes)),
    ]),
};

/** The client's side of a request, made again from the session's secret. */
function outgoing(vector) {
  const bytes = fromHex(vector.request.envelope);
  const { header } = parseEnvelope(bytes);
  const suite = findSuite(vector.suite);
  return new OutgoingRequest(suite, header, fromHex(vector.session_secret), fromHex(vector.request.request_digest), bytes);
}

async function openReply(vector, text, limit) {
  const { padded } = await outgoing(vector).open(parseEnvelope(fromHex(text), limit));
  return parseContent(unpad(padded));
}

function* casesOf(vector, limit) {
  const suite = findSuite(vector.suite);
  const seed = fromHex(vector.key_seed);
  yield ["key", async () => {
    const publicKey = await suite.kem.publicKey(seed);
    assert.equal(toHex(publicKey), vector.key_public);
    assert.equal(await keyId(suite, publicKey), vector.key_id);
  }];
  yield ["request", async () => {
    const opened = await openRequest(suite, seed, fromHex(vector.request.envelope), limit);
    assert.equal(toHex(opened.secret), vector.session_secret);
    assert.equal(fromUtf8(opened.content.json, "json"), vector.request.json);
    assert.equal(toHex(opened.content.binary), vector.request.binary);
    assert.equal(toHex(opened.requestDigest), vector.request.request_digest);
  }];
  yield ["reply", async () => {
    const content = await openReply(vector, vector.reply.envelope, limit);
    assert.equal(fromUtf8(content.json, "json"), vector.reply.json);
    assert.equal(toHex(content.binary), vector.reply.binary);
  }];
  yield ["error reply", async () => {
    const { code, message } = vector.error_reply;
    assert.deepEqual(parseError(await openReply(vector, vector.error_reply.envelope, limit)), { code, message });
  }];
  for (const [name, text] of Object.entries(vector.reject_requests)) {
    yield [`request refused: ${name}`, () => refused(() => openRequest(suite, seed, fromHex(text), limit))];
  }
  for (const [name, text] of Object.entries(vector.reject_replies)) {
    yield [`reply refused: ${name}`, () => refused(() => openReply(vector, text, limit))];
  }
}

const KNOWN = ["suite", "key_seed", "key_public", "key_id", "session_secret", "request", "reply", "error_reply", "reject_requests", "reject_replies"];

export const exchange = {
  max_body_bytes: "context",
  exchanges: (cases, whole) =>
    cases.flatMap((vector) => {
      assert.deepEqual(Object.keys(vector).filter((key) => !KNOWN.includes(key)), []);
      return [...casesOf(vector, whole.max_body_bytes)].map(([name, run]) => [`${vector.suite.toString(16)} ${name}`, run]);
    }),
};
