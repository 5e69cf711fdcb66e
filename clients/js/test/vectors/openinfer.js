import assert from "node:assert/strict";

import { concat, fromHex, toHex, utf8 } from "../../src/base/bytes.js";
import { parseTopClass } from "../../src/tensors/classes.js";
import { encodeRequest, encodeResponse, parseRequest, parseResponse } from "../../src/tensors/messages.js";
import { refused } from "./refusing.js";

const KINDS = { request: [parseRequest, encodeRequest], response: [parseResponse, encodeResponse] };
const KEYS = ["name", "kind", "json", "binary", "tensors", "id", "outputs", "model_name", "model_version", "classes"];

const shown = (tensors) =>
  tensors.map(({ name, datatype, shape, data }) => ({ name, datatype, shape, data: toHex(data) }));

function check(vector, message) {
  assert.deepEqual(shown(message.inputs ?? message.outputs), vector.tensors);
  assert.equal(message.id, vector.id ?? null);
  if (vector.kind === "request") assert.deepEqual(message.outputs, vector.outputs ?? []);
  else assert.deepEqual([message.modelName, message.modelVersion], [vector.model_name, vector.model_version]);
}

export const openinfer = {
  about: "context",
  accept: (cases) =>
    cases.map((vector) => [
      vector.name,
      () => {
        assert.deepEqual(Object.keys(vector).filter((key) => !KEYS.includes(key)), []);
        const [parse, encode] = KINDS[vector.kind];
        const message = parse(utf8(vector.json), fromHex(vector.binary));
        check(vector, message);
        const again = encode(message);
        check(vector, parse(again.json, concat(...again.binary)));
        if (vector.classes) assert.deepEqual(message.outputs[0].elements().map(parseTopClass), vector.classes);
      },
    ]),
  reject: (cases) =>
    cases.map((vector) => [
      vector.name,
      () => refused(async () => KINDS[vector.kind][0](utf8(vector.json), fromHex(vector.binary)), "malformed"),
    ]),
};
