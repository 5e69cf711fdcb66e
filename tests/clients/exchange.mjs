// One run of the JavaScript client against a live service; what happened is printed as JSON.

import { readFile, writeFile } from "node:fs/promises";

import { Client, filePin, loadPolicy } from "../../clients/js/src/node.js";

const [, , url, policyPath, pinPath, photoPath, receiptPath] = process.argv;
const policy = await loadPolicy(policyPath);

/** The codes of a refusal. */
async function refusal(run) {
  try {
    await run();
  } catch (error) {
    return error.mismatches?.map((each) => each.code) ?? error.code;
  }
  return "accepted";
}

const altered = (changes) => Client.connect(url, { policy: { ...policy, ...changes } });
const client = await Client.connect(url, { policy, pin: filePin(pinPath) });
const rows = [[1, 2, 3, 4], [0.5, -1, 0, 2]];
const tensors = await client.infer("tiny", { x: Float32Array.from(rows.flat()) });
const image = await client.infer("efficientnet-lite0", { image: await readFile(photoPath) }, { topK: 5 });
const proved = await client.infer("tiny", { x: rows }, { topK: 2, receipt: true });
await writeFile(receiptPath, `${proved.receipt.line}\n`);
const many = await Promise.all(Array.from({ length: 20 }, () => client.infer("tiny", { x: rows }).then(({ outputs }) => outputs.probabilities.shape)));
const [digest] = client.models.filter((each) => each.name === "tiny").map((each) => each.digest);
const named = await altered({ models: { tiny: [digest] } });

console.log(
  JSON.stringify({
    trust: client.trust,
    rows,
    probabilities: tensors.outputs.probabilities.elements(),
    simulated: tensors.simulated,
    top: image.classes.logits[0],
    topOfRows: proved.classes.probabilities.map(([best]) => best),
    many,
    refusals: {
      measurement: await refusal(() => altered({ keybroker: { ...policy.keybroker, measurements: ["00".repeat(32)] } })),
      settings: await refusal(() => altered({ manifest_digest: "00".repeat(32), deployment: "other" })),
      hardware: await refusal(() => altered({ tee: "sgx", insecure_simulated_root: undefined })),
      key: await refusal(() => altered({ suer: 1 })),
      package: await refusal(() => named.infer("efficientnet-lite0", { image: new Uint8Array(3) })),
      shape: await refusal(() => client.infer("tiny", { x: [[1, 2, 3]] })),
      photo: await refusal(() => client.infer("efficientnet-lite0", { image: new Uint8Array(3) }, { topK: 5 })),
      model: await refusal(() => client.infer("nothing", { x: rows })),
      address: await refusal(() => Client.connect("http://127.0.0.1:9", { policy })),
    },
  }),
);
client.close();
