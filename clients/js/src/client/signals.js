/**
 * Signals that abort together. `AbortSignal.any` would do, but some engines collect a signal of signals that only
 * others listen to, and then its abort never comes.
 */

/**
 * A signal that aborts when one of the others does, or after a time.
 * @param {AbortSignal[]} others
 * @param {{afterMs: number, reason: () => unknown}} [limit]
 * @returns {{signal: AbortSignal, release: () => void}} `release` ends the listening
 */
export function linked(others, limit) {
  const controller = new AbortController();
  /** @param {Event} event */
  const follow = (event) => controller.abort(/** @type {AbortSignal} */ (event.target).reason);
  const timer = limit === undefined ? undefined : setTimeout(() => controller.abort(limit.reason()), limit.afterMs);
  for (const other of others) {
    if (other.aborted) controller.abort(other.reason);
    other.addEventListener("abort", follow);
  }
  const release = () => {
    clearTimeout(timer);
    for (const other of others) other.removeEventListener("abort", follow);
  };
  return { signal: controller.signal, release };
}

/**
 * A promise that others wait for too: a waiter that is aborted leaves the others waiting.
 * @template T
 * @param {Promise<T>} shared
 * @param {AbortSignal} signal
 * @returns {Promise<T>}
 */
export function waitFor(shared, signal) {
  shared.catch(() => undefined); // whoever still waits is told
  return new Promise((resolve, reject) => {
    if (signal.aborted) return void reject(signal.reason);
    const stop = () => reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    shared.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}
