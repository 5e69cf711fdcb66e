import assert from "node:assert/strict";

import { appraise } from "../../src/attest/appraise.js";
import { reportData } from "../../src/attest/evidence.js";
import { parsePolicy } from "../../src/attest/policy.js";
import { fromBase64, toHex, utf8 } from "../../src/base/bytes.js";
import { refused } from "./refusing.js";

export const attestation = {
  note: "context", deployment: "context", manifest_digest: "context", roots: "context", collateral: "context",
  report_data: (cases) =>
    cases.map((each) => [
      each.role,
      async () => {
        const bound = utf8(each.bound);
        assert.equal(toHex(await reportData(bound, each.role, "hardware")), each.hardware);
        assert.equal(toHex(await reportData(bound, each.role, "simulated")), each.simulated);
      },
    ]),
  cases: (cases, whole) =>
    cases.map((each) => [
      each.name,
      async () => {
        const policy = parsePolicy({
          tee: "simulated", deployment: whole.deployment, manifest_digest: whole.manifest_digest, keybroker: each.keybroker,
          insecure_simulated_root: whole.roots[each.root],
        });
        const evidence = {
          tee: each.tee, quote: fromBase64(each.quote), bound: utf8(each.bound), collateral: utf8(whole.collateral[each.collateral]),
        };
        // the sealing keys of these cases are 32 bytes of filler, whatever their suite is
        const run = () => appraise(evidence, policy, each.now_ms, { nonce: each.nonce, sealingKey: false });
        if (each.expect.length === 0) await run();
        else await refused(run, each.expect);
      },
    ]),
};
