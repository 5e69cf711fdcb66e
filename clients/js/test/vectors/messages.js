import assert from "node:assert/strict";

import { concat, fromBase64, fromHex, toHex, u32, utf8 } from "../../src/base/bytes.js";
import { MalformedError } from "../../src/base/errors.js";
import { digest, readObject } from "../../src/base/forms.js";
import { parseObject } from "../../src/base/json.js";
import { lengthPrefixed } from "../../src/base/bytes.js";
import { sha256 } from "../../src/crypto/primitives.js";
import { encodeContent, ERROR, INFER, parseContent, parseError, RECEIPT } from "../../src/seal/content.js";
import { parseEnvelope } from "../../src/seal/envelope.js";
import { OutgoingRequest } from "../../src/seal/exchange.js";
import { pad, unpad } from "../../src/seal/padding.js";
import { findSuite, label } from "../../src/seal/suites.js";
import { parseTopClass } from "../../src/tensors/classes.js";
import { parseRequest, parseResponse } from "../../src/tensors/messages.js";
import { caseFile } from "./cases.js";

const bytesOf = (each) =>
  "content" in each
    ? fromBase64(each.content)
    : concat(Uint8Array.of(each.kind), u32(utf8(each.json).length), utf8(each.json), fromBase64(each.binary));

/** Take a request out of a kind 3 that asks for a receipt, as a worker does. */
function requestWithin(content) {
  if (content.kind !== RECEIPT) return content;
  const what = "the request for a receipt";
  readObject(parseObject(content.json, what), what, { required: { salt: digest }, open: true });
  return parseContent(content.binary);
}

/** What its receiver reads: tensors, or the code of an error. */
function read(each) {
  const content = parseContent(bytesOf(each));
  if (each.message === "request") {
    const inner = requestWithin(content);
    if (inner.kind !== INFER) throw new MalformedError("a request is of kind 1, or 3 around it");
    return parseRequest(inner.json, inner.binary).inputs;
  }
  if (content.kind === ERROR) return parseError(content).code;
  if (content.kind !== INFER) throw new MalformedError("no receipt was asked for");
  return parseResponse(content.json, content.binary).outputs;
}

export const contents = {
  ...caseFile([], () => undefined, ""),
  cases: (cases, whole) =>
    cases.flatMap((raw) => {
      const form = raw.message === "request" ? "invalid_input" : "reply";
      const keys = ["message", "kind", "json", "binary", "content", "tensors", "error"];
      return caseFile(keys, judgeContent, form).cases([raw], whole);
    }),
};

function judgeContent(each) {
  const found = read(each);
  if ("error" in each) assert.equal(found, each.error);
  if (!("tensors" in each)) return;
  assert.deepEqual(
    found.map(({ name, datatype, shape, data }) => ({ name, datatype, shape, data: toHex(data) })),
    each.tensors.map((tensor) => ({ ...tensor })),
  );
}

export const classes = caseFile(
  ["element", "score", "index", "label"],
  (each) => {
    const found = parseTopClass(fromBase64(each.element));
    const score = each.score?.value ?? each.score;
    if (each.expect === "ok") assert.deepEqual(found, { score, index: each.index, label: each.label });
  },
  "reply",
);

export const envelopes = caseFile(
  ["envelope", "max_body_bytes"],
  (each) => void parseEnvelope(fromBase64(each.envelope), each.max_body_bytes),
  "malformed",
);

export const padding = caseFile(
  ["padded", "content"],
  (each) => {
    const content = unpad(fromBase64(each.padded));
    if (each.expect !== "ok") return;
    assert.equal(toHex(content), toHex(fromBase64(each.content)));
    assert.equal(toHex(pad(content)), toHex(fromBase64(each.padded)));
  },
  "malformed",
);

/** The client's side of a request, made again from the session's secret. */
async function outgoing(each) {
  const bytes = fromBase64(each.request);
  const { suite: id, header, start, keyBlob, body } = parseEnvelope(bytes);
  const suite = findSuite(id);
  const transcript = await sha256(label(suite.domain, "request transcript"), lengthPrefixed(start), lengthPrefixed(keyBlob));
  const requestDigest = await sha256(label(suite.domain, "request digest"), transcript, body);
  return new OutgoingRequest(suite, header, fromHex(each.session_secret), requestDigest, bytes);
}

export const replies = caseFile(
  ["request", "session_secret", "reply", "content"],
  async (each) => {
    const { padded } = await (await outgoing(each)).open(parseEnvelope(fromBase64(each.reply)));
    const { kind, json, binary } = parseContent(unpad(padded));
    if (each.expect === "ok") assert.equal(toHex(encodeContent(kind, json, binary)), toHex(fromBase64(each.content)));
  },
  "reply",
);
