/** The client: verify, choose key and model, seal, send, read. */

import { ConfigError, MalformedError, ModelError, OpenError, under, UnavailableError, VerificationError } from "../base/errors.js";
import { asLine } from "../base/forms.js";
import { parsePolicy } from "../attest/policy.js";
import { chooseKey, chooseModel } from "../documents/directory.js";
import { memoryPin } from "../documents/pin.js";
import { askForReceipt, readReceiptReply } from "../documents/receipt.js";
import { encodeContent, ERROR, INFER, parseContent, parseError } from "../seal/content.js";
import { parseEnvelope, REFUSAL, REFUSAL_CODES, REPLY } from "../seal/envelope.js";
import { Session } from "../seal/exchange.js";
import { unpad } from "../seal/padding.js";
import { encodeRequest } from "../tensors/messages.js";
import { Attempts } from "./attempts.js";
import { Gateway } from "./gateway.js";
import { makeInputs, readResponse, requestedOutputs } from "./inputs.js";
import { trustReport } from "./report.js";
import { linked } from "./signals.js";
import { pause, Trust } from "./trust.js";

const SEALED_ERRORS = ["invalid_input", "tenant_refused", "quota_exceeded"];
const DEFAULT_TIMEOUT_MS = 30_000;
const MAX_MESSAGE = 2000;

/** @typedef {import("../documents/directory.js").Model} Model */
/** @typedef {import("../seal/content.js").Content} Content */

/**
 * @typedef {object} ConnectOptions
 * @property {object | string | Uint8Array} policy an object with the keys of a policy file, or its JSON; `loadPolicy` reads TOML
 * @property {import("../documents/pin.js").PinStore | null} [pin] where the newest directory is remembered; null or absent: in memory alone
 * @property {boolean} [acceptGap] accept a directory although the log since the pinned one is withheld: once, when its owner says so
 * @property {typeof globalThis.fetch} [fetch] to send with; the platform's own unless given
 * @property {() => number} [now] milliseconds since 1970; the platform's clock unless given
 */
/**
 * @typedef {object} InferOptions
 * @property {string} [version]
 * @property {string[]} [outputs] by name; all unless given
 * @property {number} [topK] the best classes in place of the output's tensor
 * @property {boolean} [receipt] ask for a signed receipt
 * @property {boolean} [shareBatch] let rows share batches with those of other clients that allow it; the policy must allow it
 * @property {string} [tenantToken] of the caller's tenant, where the deployment serves tenants; only the enclave sees it
 * @property {number} [timeoutMs] for all attempts together
 * @property {AbortSignal} [signal]
 */
/**
 * @typedef {object} InferResult
 * @property {{name: string, version: string, digest: string}} model that answered
 * @property {string} instance the enclave that answered
 * @property {boolean} simulated
 * @property {Record<string, import("../tensors/tensor.js").Tensor>} outputs
 * @property {Record<string, import("../tensors/classes.js").TopClass[][]>} classes with `topK`: of each output, of each row, best first
 * @property {import("../documents/receipt.js").Receipt | null} receipt
 */

export class Client {
  /** @type {Trust} */ #trust;
  /** @type {Gateway} */ #gateway;
  /** @type {{kid: string, session: Promise<Session>} | null} */ #session = null;
  #closing;

  /**
   * Use `Client.connect`.
   * @private
   * @param {Trust} trust
   * @param {Gateway} gateway
   * @param {AbortController} [closing] ends all that is under way
   */
  constructor(trust, gateway, closing = new AbortController()) {
    this.#closing = closing;
    this.#trust = trust;
    this.#gateway = gateway;
  }

  /**
   * Fetch and verify; nothing of yours is sent.
   * @param {string | URL} address of the gateway
   * @param {ConnectOptions} options
   * @returns {Promise<Client>}
   */
  static async connect(address, { policy, pin = null, acceptGap = false, fetch = globalThis.fetch.bind(globalThis), now = Date.now }) {
    const gateway = new Gateway(address, fetch);
    const closing = new AbortController();
    const trust = new Trust(gateway, parsePolicy(policy), pin ?? memoryPin(), now, closing.signal, acceptGap);
    const client = new Client(trust, gateway, closing);
    await trust.refresh(client.#closing.signal);
    return client;
  }

  /** What was verified last. */
  get trust() {
    return trustReport(this.#verified);
  }

  /** The models that are served, with their inputs and outputs. @returns {readonly Model[]} */
  get models() {
    return this.#verified.directory.models;
  }

  /** Fetch and verify anew. @returns {Promise<import("./report.js").TrustReport>} */
  async verify() {
    return trustReport(await this.#trust.refresh(this.#open()));
  }

  /**
   * Seal a request, send it, and open its reply.
   * @param {string | null} model its name; null where only one is served
   * @param {Record<string, import("./inputs.js").InputValue>} inputs by name; `image` also means the input that takes files
   * @param {InferOptions} [options]
   * @returns {Promise<InferResult>}
   */
  async infer(model, inputs, options = {}) {
    if (options.shareBatch && !this.#trust.policy.shareBatch) throw new ConfigError("the policy keeps batches apart: it lacks share_batch");
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const reason = () => new UnavailableError("deadline", `no answer within ${timeoutMs} ms`);
    const { signal, release } = linked([this.#open(), ...(options.signal ? [options.signal] : [])], { afterMs: timeoutMs, reason });
    const attempts = new Attempts(performance.now() + timeoutMs);
    const deadlineMs = Math.ceil(Date.now() + timeoutMs);
    try {
      for (;;) {
        const outcome = await this.#attempt(model, inputs, options, deadlineMs, signal);
        if ("result" in outcome) return outcome.result;
        const { pauseMs, refresh } = attempts.after(outcome.code, outcome.retryAfterS);
        await pause(pauseMs, signal);
        if (refresh) await this.#trust.refresh(signal);
      }
    } finally {
      release();
    }
  }

  /** Forget all secrets, and end what is under way. */
  close() {
    this.#closing.abort(new ConfigError("the client is closed"));
    this.#session = null;
  }

  get #verified() {
    this.#open();
    return /** @type {import("./trust.js").Verified} */ (this.#trust.current);
  }

  #open() {
    this.#closing.signal.throwIfAborted();
    return this.#closing.signal;
  }

  /**
   * One attempt: a result, or why to try again.
   * @param {string | null} name
   * @param {Record<string, import("./inputs.js").InputValue>} inputs
   * @param {InferOptions} options
   * @param {number} deadlineMs
   * @param {AbortSignal} signal
   * @returns {Promise<{result: InferResult} | {code: string, retryAfterS: number | null}>}
   */
  async #attempt(name, inputs, options, deadlineMs, signal) {
    const { directory, model } = await this.#choose(name, options.version, signal);
    const asked = requestedOutputs(model, options);
    const { json, binary } = encodeRequest({
      inputs: await makeInputs(model, inputs), outputs: asked, id: null, shareBatch: options.shareBatch, tenantToken: options.tenantToken,
    });
    const plain = encodeContent(INFER, json, ...binary);
    const receipt = options.receipt ? askForReceipt(plain) : null;
    const session = await this.#sessionFor(directory);
    const sealedUntilMs = Math.min(deadlineMs, Date.now() + 1000 * (directory.deadlineS ?? Infinity));
    const request = await session.seal(model, receipt?.content ?? plain, sealedUntilMs);
    const answer = await this.#send(request.envelope, (deadlineMs - Date.now()) / 1000, signal);
    if ("code" in answer) return answer;
    const opened = await this.#openAnswer(request, answer);
    if ("code" in opened) return opened;
    const { instance, simulated } = opened.header;
    if (directory.revoked.some((each) => each.kind === "worker" && each.id === instance)) {
      throw new VerificationError("worker_revoked", "the reply is of a worker that was revoked");
    }
    const outer = under("reply", () => parseContent(unpad(opened.padded)));
    const { domain } = session.key.suite;
    const proved = receipt === null ? { content: outer, receipt: null } : await readReceiptReply(outer, {
      domain, salt: receipt.salt, request: plain, header: request.header, instance,
    });
    const read = readAnswer(model, asked, proved.content);
    const { version, digest } = model;
    return { result: { model: { name: model.name, version, digest }, instance, simulated, ...read, receipt: proved.receipt } };
  }

  /** Directory and model; one that is not there may have been published since. @param {string | null} name @param {string | undefined} version @param {AbortSignal} signal */
  async #choose(name, version, signal) {
    const { policy } = this.#trust;
    const { directory } = await this.#trust.fresh(signal);
    try {
      return { directory, model: chooseModel(directory, policy, name, version, this.#trust.owners) };
    } catch (error) {
      if (!(error instanceof ConfigError) || error.code !== "invalid_input") throw error;
      const { directory: newest } = await this.#trust.refresh(signal);
      return { directory: newest, model: chooseModel(newest, policy, name, version, this.#trust.owners) };
    }
  }

  /** @param {import("../documents/directory.js").Directory} directory */
  async #sessionFor(directory) {
    const key = chooseKey(directory, this.#trust.now(), this.#trust.policy.suites);
    const kept = this.#session;
    if (kept?.kid === key.kid) {
      const session = await kept.session.catch(() => null);
      if (session?.isGoodFor(key.kid, Date.now())) return session;
    }
    if (this.#session === kept || this.#session === null) this.#session = { kid: key.kid, session: Session.start(key) };
    return this.#session.session;
  }

  /** @param {Uint8Array} envelope @param {number} waitS @param {AbortSignal} signal */
  async #send(envelope, waitS, signal) {
    try {
      return await this.#gateway.post(envelope, Math.max(1, Math.floor(waitS)), signal);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof UnavailableError) return { code: "unavailable", retryAfterS: null };
      throw error;
    }
  }

  /**
   * @param {import("../seal/exchange.js").OutgoingRequest} request
   * @param {import("./gateway.js").Answer} answer
   */
  async #openAnswer(request, { isEnvelope, body, retryAfterS }) {
    if (!isEnvelope) return { code: "unavailable", retryAfterS };
    try {
      const envelope = parseEnvelope(body);
      if (envelope.kind === REPLY) return await request.open(envelope);
      const { code, rid } = envelope.header;
      if (envelope.kind === REFUSAL && (rid === null || rid === request.header.rid)) {
        return { code: REFUSAL_CODES.includes(code) ? code : "unavailable", retryAfterS };
      }
    } catch (error) {
      if (!(error instanceof OpenError || error instanceof MalformedError)) throw error;
    }
    return { code: "no_answer", retryAfterS };
  }
}

/** @param {Model} model @param {import("./inputs.js").RequestedOutput[]} asked @param {Content} content */
function readAnswer(model, asked, content) {
  if (content.kind === ERROR) {
    const { code, message } = under("reply", () => parseError(content));
    throw new ModelError(SEALED_ERRORS.includes(code) ? code : "model_failed", asLine(message, MAX_MESSAGE)); // also a code of a later release
  }
  if (content.kind !== INFER) throw new VerificationError("reply", "the reply holds something that was not asked for");
  return readResponse(model, asked, content);
}
