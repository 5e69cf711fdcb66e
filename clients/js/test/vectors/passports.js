import { parseBoundClaims } from "../../src/attest/evidence.js";
import { acceptPassport, verifyPassport } from "../../src/attest/passport.js";
import { parsePolicy } from "../../src/attest/policy.js";
import { fromBase64 } from "../../src/base/bytes.js";
import { refused } from "./refusing.js";

async function judge(each, whole) {
  const policy = parsePolicy({ ...whole.policies[each.policy], verifiers: [whole.verifiers[each.verifier]] });
  const bytes = fromBase64(whole.bound[each.bound]);
  const passport = await verifyPassport(each.token, policy.verifiers[0], each.now_ms);
  await acceptPassport(passport, bytes, parseBoundClaims(bytes), policy, each.now_ms);
}

export const passports = {
  bound: "context", now_ms: "context", policies: "context", verifiers: "context",
  cases: (cases, whole) =>
    Object.entries(cases).map(([name, each]) => [
      name,
      async () => {
        if (each.expect === "ok") await judge(each, whole);
        else await refused(() => judge(each, whole), each.expect);
      },
    ]),
};
