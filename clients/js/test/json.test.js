import assert from "node:assert/strict";
import { test } from "node:test";

import { fromBase64, fromHex, utf8 } from "../src/base/bytes.js";
import { asLine, integer, printable, readObject, string } from "../src/base/forms.js";
import { canonicalText, Decimal, parseObject } from "../src/base/json.js";
import { refused } from "./vectors/refusing.js";

const parse = (text, options) => parseObject(typeof text === "string" ? utf8(text) : text, "it", options);
const nested = (depth) => `{"a":${"[".repeat(depth - 1)}${"]".repeat(depth - 1)}}`;

test("what strict JSON refuses", async () => {
  const wrong = [
    "", "[]", "null", "1", '"a"', '{"a":1}x', '{"a":1}{}', '{"a":1,}', '{a:1}', "{'a':1}", '{"a":01}', '{"a":+1}', '{"a":-0}',
    '{"a":1.0}', '{"a":1e2}', '{"a":NaN}', '{"a":Infinity}', '{"a":-Infinity}', '{"a":1,"a":2}', '{"a":1,"\\u0061":2}',
    '{"b":{"a":1,"a":2}}', '{"a":"\\ud800"}', '{"\\udc00":1}', '{"a":"\\ud800\\u0041"}', '{"a":"\\x"}', '{"a":"\\u12g4"}', '{"a":"\n"}',
    '{"a":"', '{"a"', "{", '{"a":[1', '{"a":tru}', '{"a":True}', '{"a":100000000000000000000}', '{"a":-10000000000000000000000}',
    "\ufeff{}", nested(33), nested(100_000), '{"a":[1,]}', '{"a":[,1]}', '{"a" 1}', "{}\0", "\u00a0{}",
  ];
  for (const text of wrong) await refused(async () => parse(text), "malformed");
  for (const bytes of [[0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d], [0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x3a, 0x31, 0x7d]]) {
    await refused(async () => parse(Uint8Array.from(bytes)), "malformed");
  }
  for (const text of ['{"a":1e999}', '{"a":-1e999}', '{"a":1.}', '{"a":.5}', '{"a":1e}']) {
    await refused(async () => parse(text, { numbers: "data" }), "malformed");
  }
});

test("what strict JSON reads", () => {
  const { a, b, c, d, e } = parse(' {"a":9007199254740991,"b":-9223372036854775808,"c":"\\ud83d\\ude00\\u0000é\\/","d":[true,false,null,{}],"e":99999999999999999999}\r\n\t');
  assert.deepEqual([a, b, c, e], [9007199254740991, -9223372036854775808n, "😀\0é/", 99999999999999999999n]);
  assert.equal(d.length, 4);
  assert.equal(parse('{"__proto__":1}').__proto__, 1);
  assert.ok(parse(nested(32)));
  const { x, y, z } = parse('{"x":-0,"y":1.5e-3,"z":7}', { numbers: "data" });
  assert.ok(x instanceof Decimal && Object.is(x.value, -0));
  assert.equal(y.value, 0.0015);
  assert.equal(z, 7);
});

test("canonical JSON", () => {
  const value = { b: [1, -2, 12345678901234567890n], a: "é\u007f😀\b\f\n\r\t\"\\\u0001", ab: { z: null, y: true } };
  assert.equal(
    canonicalText(value),
    '{"a":"\\u00e9\\u007f\\ud83d\\ude00\\b\\f\\n\\r\\t\\"\\\\\\u0001","ab":{"y":true,"z":null},"b":[1,-2,12345678901234567890]}',
  );
  assert.throws(() => canonicalText({ a: 1.5 }));
});

test("base64 and hex have one spelling", async () => {
  assert.deepEqual([...fromBase64("")], []);
  assert.deepEqual([...fromBase64("AQID")], [1, 2, 3]);
  for (const text of ["AQ", "AQ=", "AR==", "AQI", "AQJ=", "A===", "====", "AQ==\n", " AQ==", "A-_=", "AQ==AQ=="]) {
    await refused(async () => fromBase64(text), "malformed");
  }
  for (const text of ["A0", "0", "0g", "0x"]) await refused(async () => fromHex(text), "malformed");
});

test("a peer's words become one line of printable characters", () => {
  assert.equal(asLine("all is well\n\u001b[2J\u009b\u202ex\r\u2028\ud800", 100), "all is well  [2J  x   ");
  assert.equal(asLine("\u{1f98a}".repeat(9), 4), "\u{1f98a}".repeat(4));
});

test("names are of printable characters, and counted by code points", async () => {
  const form = printable(1, 4);
  for (const text of ["a", "a b", "😀😀😀😀", "\u{1fae9}", "日本"]) assert.equal(form(text, "it"), text);
  const wrong = ["", "abcde", "\u0000", "\u007f", "\u00a0", "\u00ad", "\u061c", "\u200b", "\u2028", "\u2060", "\u3000", "\ue000", "\ufdd0", "\ufeff", "\ufffe", "\u{1fffe}", "\u{10ffff}", "\u{e0001}", "\ud800"];
  for (const text of wrong) await refused(async () => form(text, "it"), "malformed");
});

test("open and closed objects, and what is critical", async () => {
  const shape = { required: { a: integer(0, 9) }, optional: { b: string } };
  const read = (text, open, format) => readObject(parse(text), "it", { ...shape, open, format });
  assert.deepEqual(read('{"a":1,"c":{"d":1}}', true), { a: 1 });
  await refused(async () => read('{"a":1,"c":1}', false), "malformed");
  await refused(async () => read('{"a":1,"critical":["c"],"c":1}', false), "malformed");
  await refused(async () => read('{"a":1,"critical":["c"],"c":1}', true), "critical");
  for (const critical of ["[]", '["a"]', '["b"]', '["d"]', '["c","c"]', '["critical"]', '"c"', "[1]", '{"c":1}', JSON.stringify(Array(17).fill("c"))]) {
    await refused(async () => read(`{"a":1,"c":1,"critical":${critical}}`, true), "malformed");
  }
  assert.deepEqual(read('{"a":1,"format":1}', true, "required"), { a: 1 });
  await refused(async () => read('{"a":1,"format":2}', true, "required"), "format");
  await refused(async () => read('{"format":2}', false, "required"), "format");
  await refused(async () => read('{"a":1}', true, "required"), "malformed");
  await refused(async () => read('{"a":1,"format":"1"}', true, "required"), "malformed");
  assert.deepEqual(read('{"a":1}', true, "optional"), { a: 1 });
});
