/**
 * Sealflow's client: verify a confidential-computing service by remote attestation, seal each request, open the reply.
 * Runs in browsers and in Node. What needs files, and TOML, is in `sealflow/node` and `sealflow/toml`.
 */

export { Client } from "./client/client.js";
export { formatTrustReport } from "./client/report.js";
export { Tensor } from "./tensors/tensor.js";
export { browserPin, memoryPin } from "./documents/pin.js";
export {
  ConfigError, MalformedError, ModelError, OpenError, PolicyError, RefusedError, SealflowError, UnavailableError,
  VerificationError,
} from "./base/errors.js";
