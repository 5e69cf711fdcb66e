import assert from "node:assert/strict";
import { test } from "node:test";

import { concat, toHex, utf8 } from "../src/base/bytes.js";
import { pad, padme, unpad } from "../src/seal/padding.js";
import { parseTopClass } from "../src/tensors/classes.js";
import { fromHalf, toHalf } from "../src/tensors/datatypes.js";
import { parseRequest } from "../src/tensors/messages.js";
import { Tensor } from "../src/tensors/tensor.js";
import { makeInputs, requestedOutputs } from "../src/client/inputs.js";
import { refused } from "./vectors/refusing.js";

const data = (datatype, literal) =>
  toHex(parseRequest(utf8(`{"inputs":[{"name":"x","datatype":"${datatype}","shape":[1],"data":[${literal}]}]}`), new Uint8Array(0)).inputs[0].data);

test("numbers are rounded to binary64, then to the datatype, ties to even", async () => {
  assert.equal(data("FP32", "1.00000005960464477539063"), "0000803f"); // rounded once, it would end in 01
  assert.equal(data("FP32", "-0"), "00000080");
  assert.equal(data("FP16", "-0"), "0080");
  assert.equal(data("FP16", "65519.99"), "ff7b");
  assert.equal(data("FP64", "18446744073709551615"), "000000000000f043");
  assert.equal(data("FP16", "2049"), "0068");
  assert.equal(data("FP16", "2051"), "0268");
  assert.equal(data("FP16", "5.9604644775390625e-8"), "0100");
  assert.equal(data("FP16", "2.98023223876953125e-8"), "0000");
  for (const [datatype, literal] of [["FP16", "65520"], ["FP32", "3.4028236e38"], ["INT8", "-0"], ["INT8", "1.0"], ["INT8", "1e1"], ["UINT8", "-1"], ["INT64", "9223372036854775808"], ["FP32", "true"], ["FP32", '"1"'], ["FP32", "null"]]) {
    await refused(async () => data(datatype, literal), "malformed");
  }
});

test("every binary16 reads back to its bits", () => {
  for (let bits = 0; bits < 0x7c00; bits++) {
    assert.equal(toHalf(fromHalf(bits)), bits);
    assert.equal(toHalf(fromHalf(bits | 0x8000)), bits | 0x8000);
  }
});

test("elements come back as they went in", () => {
  const cases = [["BOOL", [true, false]], ["INT64", [-(2n ** 63n), 2n ** 63n - 1n]], ["UINT64", [0n, 2n ** 64n - 1n]], ["FP16", [0.5, -2]], ["FP64", [1e300, -0]], ["INT8", [-128, 127]]];
  for (const [datatype, elements] of cases) assert.deepEqual(Tensor.of("x", datatype, [2], elements).elements(), elements);
  assert.deepEqual(Tensor.of("x", "BYTES", [2], ["a", "é"]).elements(), [utf8("a"), utf8("é")]);
});

test("classes", async () => {
  assert.deepEqual(parseTopClass(utf8("-1.25e-06:7:a:b")), { score: -1.25e-6, index: 7, label: "a:b" });
  for (const text of ["", "1", "1:", "nan:1", "1e999:1", "+1:1", "01:1", "1.:1", ".5:1", "1:-1", "1:10000000000", `${"1".repeat(33)}:1`, `1:1:${"a".repeat(4097)}`, "1:1x"]) {
    await refused(async () => parseTopClass(utf8(text)), "malformed");
  }
});

test("padding", async () => {
  // by the formula, with logarithms
  for (let length = 4; length < 5000; length++) {
    const exponent = Math.floor(Math.log2(length));
    const step = 2 ** (exponent - (Math.floor(Math.log2(exponent)) + 1));
    assert.equal(padme(length), Math.ceil(length / step) * step || length);
  }
  const padded = pad(new Uint8Array(1000));
  assert.equal(padded.length, 1024);
  assert.equal(unpad(padded).length, 1000);
  const marked = padded.slice();
  marked[1023] = 1;
  for (const wrong of [marked, padded.subarray(0, 1023), concat(padded, new Uint8Array(1)), new Uint8Array(3), Uint8Array.of(255, 255, 255, 255)]) {
    await refused(async () => unpad(wrong), "malformed");
  }
});

const MODEL = {
  name: "m", version: "1", digest: "", owner: new Uint8Array(32), workers: null, default: true, image: "pixels",
  inputs: [{ name: "pixels", datatype: "FP32", shape: [-1, 3, 2, 2] }], outputs: [{ name: "y", datatype: "FP32", shape: [-1, 4] }],
};

test("inputs by the model's form", async () => {
  const one = async (value) => (await makeInputs(MODEL, value))[0];
  assert.deepEqual((await one({ image: new Uint8Array(9) })).shape, [1]);
  assert.deepEqual((await one({ pixels: [new Blob(["a"]), new Uint8Array(2).buffer] })).shape, [2]);
  assert.equal((await one({ image: new Uint8Array(9) })).datatype, "BYTES");
  assert.deepEqual((await one({ pixels: new Float32Array(24) })).shape, [2, 3, 2, 2]);
  assert.equal((await one({ pixels: [[[[1, 2], [3, 4]], [[1, 2], [3, 4]], [[1, 2], [3, 4]]]] })).datatype, "FP32");
  for (const wrong of [{}, { x: 1 }, { pixels: 1 }, { pixels: new Float64Array(12) }, { pixels: new Float32Array(13) }, { pixels: [[1], [1, 2]] }, { pixels: [], x: [] }]) {
    await refused(() => makeInputs(MODEL, wrong), "config");
  }
  assert.deepEqual(requestedOutputs(MODEL, { topK: 5 }), [{ name: "y", classification: 5 }]);
  for (const wrong of [{ topK: 0 }, { topK: 1.5 }, { outputs: ["z"] }, { outputs: ["y", "y"] }]) await refused(async () => requestedOutputs(MODEL, wrong), "config");
});
