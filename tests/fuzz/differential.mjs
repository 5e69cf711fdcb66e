/**
 * What the JavaScript client says of bytes: each line of the input is a target and bytes in hex; each line of
 * the output is `ok` with a digest of what was read, `refused`, or `bug` with an error that is not the client's.
 * tests/fuzz/verdicts.py has the same targets and the same digest.
 */

import { createHash } from "node:crypto";
import { createInterface } from "node:readline";

import { fromHex, toHex, utf8 } from "../../clients/js/src/base/bytes.js";
import { SealflowError } from "../../clients/js/src/base/errors.js";
import { Decimal, parseObject } from "../../clients/js/src/base/json.js";
import { parseDirectory } from "../../clients/js/src/documents/directory.js";
import { parseContent } from "../../clients/js/src/seal/content.js";
import { parseEnvelope, REFUSAL, REFUSAL_CODES } from "../../clients/js/src/seal/envelope.js";
import { parseRequest, parseResponse } from "../../clients/js/src/tensors/messages.js";

const MAX_BODY_BYTES = 2 ** 20;

const splitMessage = (data) => {
  const end = 2 + ((data[0] ?? 0) * 256 + (data[1] ?? 0));
  return [data.subarray(2, end), data.subarray(end)];
};
const tensors = (list) => list.map(({ name, datatype, shape, data }) => [name, datatype, shape, data]);
const specs = (list) => list.map(({ name, datatype, shape }) => ({ name, datatype, shape }));
const toBase64 = (bytes) => Buffer.from(bytes).toString("base64");

const TARGETS = {
  json: (data) => parseObject(data, "text"),
  numbers: (data) => parseObject(data, "text", { numbers: "data" }),
  envelope(data) {
    const { kind, suite, header, keyBlob, body } = parseEnvelope(data, MAX_BODY_BYTES);
    const known = { ...header };
    if (kind === REFUSAL && !REFUSAL_CODES.includes(known.code)) known.code = "unavailable";
    return [kind, suite, known, keyBlob, body];
  },
  content(data) {
    const { kind, json, binary } = parseContent(data);
    return [kind, json, binary];
  },
  request(data) {
    const { inputs, outputs, id } = parseRequest(...splitMessage(data));
    return [tensors(inputs), outputs.map(({ name, classification }) => [name, classification]), id];
  },
  response(data) {
    const { modelName, modelVersion, outputs, id } = parseResponse(...splitMessage(data));
    return [modelName, modelVersion, tensors(outputs), id];
  },
  async directory(data) {
    const found = await parseDirectory(data, "simulated");
    return [
      [found.deployment, found.manifestDigest, found.history, found.logNumber],
      [found.logDigest, found.version, found.previous, found.issuedMs, found.expiresMs],
      found.models.map((model) => ({
        name: model.name, version: model.version, digest: model.digest, owner: toHex(model.owner), workers: model.workers,
        default: model.default, inputs: specs(model.inputs), outputs: specs(model.outputs), image: model.image,
        ...(model.share_batch ? { share_batch: true } : {}),
        ...("package_sha256" in model ? { package_sha256: model.package_sha256 } : {}),
        ...("package_bytes" in model ? { package_bytes: model.package_bytes } : {}),
        ...("classification" in model ? { classification: model.classification } : {}),
      })),
      found.keys.map(({ kid, suite, publicKey, notBeforeMs, retireMs, destroyMs }) => ({
        kid, suite: suite.id, public: toBase64(publicKey), not_before_ms: notBeforeMs, retire_ms: retireMs, destroy_ms: destroyMs,
      })),
    ];
  },
};

/** Add a plain value to a hash, as bytes that are equal for equal values only. */
function add(hash, value) {
  if (value === null) hash.update("None");
  else if (typeof value === "boolean") hash.update(value ? "True" : "False");
  else if (typeof value === "number" || typeof value === "bigint") hash.update(`i${value};`);
  else if (value instanceof Decimal) {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleBE(value.value);
    hash.update("d").update(bytes);
  } else if (typeof value === "string") add(hash.update("s"), utf8(value));
  else if (value instanceof Uint8Array) hash.update(`b${value.length}:`).update(value);
  else if (Array.isArray(value)) {
    hash.update("[");
    for (const each of value) add(hash, each);
    hash.update("]");
  } else {
    hash.update("{");
    const members = Object.keys(value).map((key) => [Buffer.from(key), value[key]]);
    for (const [key, each] of members.sort(([a], [b]) => Buffer.compare(a, b))) {
      add(hash, key);
      add(hash, each);
    }
    hash.update("}");
  }
  return hash;
}

async function verdict(target, data) {
  try {
    return `ok ${add(createHash("sha256"), await TARGETS[target](data)).digest("hex")}`;
  } catch (error) {
    return error instanceof SealflowError ? "refused" : `bug ${JSON.stringify(String(error.stack))}`;
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const [target, hex] = line.split(" ");
  process.stdout.write(`${await verdict(target, fromHex(hex))}\n`);
}
