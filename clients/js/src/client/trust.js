/** What was verified: the directory that a client uses, kept fresh and compared with the pin. */

import { UnavailableError, VerificationError } from "../base/errors.js";
import { verifyDocument } from "../documents/directory.js";
import { checkLinks } from "../documents/log.js";
import { checkConsistency, readProof } from "../documents/tree.js";
import { comparePin, encodePin, parsePin, pinOf } from "../documents/pin.js";
import { waitFor } from "./signals.js";

const ROLLBACK_PATIENCE_MS = 3000;
const ROLLBACK_PAUSE_MS = 300;
const FORCED_PAUSE_MS = 1000;
const RENEWAL_PAUSE_MS = 5000;
const WITNESS_PATIENCE_MS = 10_000;

/** @typedef {import("../documents/directory.js").Directory} Directory */
/** @typedef {import("../attest/appraise.js").Approval} Approval */
/**
 * How the directory follows what was pinned: nothing was (`first`), the same or the next version (`direct`), by all log
 * records in between (`linked`), by a proof that its log continues the pinned one (`proved`), or by the key broker's evidence alone because the host withholds the log (`withheld`, with `acceptGap` alone).
 * @typedef {"first" | "direct" | "linked" | "proved" | "withheld"} Continuity
 */
/** @typedef {{directory: Directory, approval: Approval, continuity: Continuity}} Verified */

export class Trust {
  /**
   * @param {import("./gateway.js").Gateway} gateway
   * @param {import("../attest/policy.js").Policy} policy
   * @param {import("../documents/pin.js").PinStore} store
   * @param {() => number} now
   * @param {AbortSignal} lifetime of the client
   * @param {boolean} [acceptGap] accept a directory though the log that leads to it is withheld
   */
  constructor(gateway, policy, store, now, lifetime, acceptGap = false) {
    this.acceptGap = acceptGap;
    this.gateway = gateway;
    this.policy = policy;
    this.store = store;
    this.now = now;
    this.lifetime = lifetime;
    /** @type {Verified | null} */
    this.current = null;
    /** The owner of each model name, as it was first seen. @type {Map<string, string>} */
    this.owners = new Map();
    /** @type {Promise<Verified> | null} */
    this.running = null;
    this.fetchedAtMs = -Infinity;
  }

  /**
   * What may be sealed by now: fetched anew when two thirds of the directory's life are over, and never after its end.
   * @param {AbortSignal} signal
   * @returns {Promise<Verified>}
   */
  async fresh(signal) {
    const { current } = this;
    if (current === null) return this.refresh(signal);
    const now = this.now();
    const { issuedMs, expiresMs } = current.directory;
    if (now < issuedMs + (2 / 3) * (expiresMs - issuedMs) && now < current.approval.validUntilMs) return current;
    if (now >= expiresMs || now >= current.approval.validUntilMs) return this.refresh(signal);
    if (performance.now() - this.fetchedAtMs < RENEWAL_PAUSE_MS) return current;
    return this.refresh(signal).catch((error) => {
      if (signal.aborted || error instanceof VerificationError) throw error;
      return current; // still good, while the service is away
    });
  }

  /** Fetch and verify, at most once per second; calls at the same time share one fetch. @param {AbortSignal} signal */
  async refresh(signal) {
    const pauseMs = this.fetchedAtMs + FORCED_PAUSE_MS - performance.now();
    this.running ??= (pauseMs > 0 ? pause(pauseMs, this.lifetime) : Promise.resolve())
      .then(() => this.fetchOnce(this.lifetime))
      .finally(() => (this.running = null));
    return waitFor(this.running, signal);
  }

  /** @param {AbortSignal} signal @returns {Promise<Verified>} */
  async fetchOnce(signal) {
    const pinned = await this.store.load();
    const pin = pinned === null ? null : parsePin(pinned);
    const until = performance.now() + ROLLBACK_PATIENCE_MS;
    const witnessedBy = performance.now() + WITNESS_PATIENCE_MS;
    for (;;) {
      this.fetchedAtMs = performance.now();
      const document = await this.gateway.directory(signal, pin?.log?.size);
      const verified = await verifyDocument(document, this.policy, this.now()).catch((error) => {
        const early = error instanceof UnavailableError && error.code === "directory_unwitnessed"; // witnesses sign within seconds
        if (!early || performance.now() >= witnessedBy) throw error;
        return null;
      });
      if (verified === null) {
        await pause(ROLLBACK_PAUSE_MS, signal);
        continue;
      }
      const { directory, approval } = verified;
      try {
        comparePin(pin, directory);
      } catch (error) {
        const old = error instanceof VerificationError && error.code === "directory_rollback"; // gateways keep one for a second
        if (!old || performance.now() >= until) throw error;
        await pause(ROLLBACK_PAUSE_MS, signal);
        continue;
      }
      const continuity = await this.follow(pin, directory, document, signal);
      const next = pinOf(directory, pin);
      this.owners = next.owners;
      const known = pin?.digest === directory.digest && pin.owners.size === next.owners.size;
      if (!known) await this.store.save(encodePin(next));
      return (this.current = { directory, approval, continuity });
    }
  }

  /** @param {import("../documents/pin.js").Pin | null} pin @param {Directory} directory @param {Uint8Array} document @param {AbortSignal} signal @returns {Promise<Continuity>} */
  async follow(pin, directory, document, signal) {
    if (pin === null || pin.manifestDigest !== directory.manifestDigest) return "first";
    if (directory.version <= pin.version + 1) return "direct";
    const proof = pin.log && directory.log && readProof(document);
    if (pin.log && directory.log && proof?.size === pin.log.size) {
      await checkConsistency(pin.log, directory.log, proof.hashes);
      return "proved";
    }
    try {
      const lines = await this.gateway.log(pin.logNumber + 1, directory.logNumber, signal);
      await checkLinks(lines, pin, directory, this.policy.tee === "simulated" ? "simulated" : "hardware");
      return "linked";
    } catch (error) {
      if (this.acceptGap && error instanceof UnavailableError) return "withheld";
      throw error;
    }
  }
}

/** @param {number} ms @param {AbortSignal} signal @returns {Promise<void>} */
export function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return void reject(signal.reason);
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal.addEventListener("abort", stop, { once: true });
  });
}
