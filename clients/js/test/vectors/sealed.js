/** Packages, publications, grants and states are between owners, workers and key brokers: a client never reads one. */
export const sealed = {
  packages: "packages are read by workers, publications by key brokers",
  grant: "grants are opened by workers",
  reject_grants: "grants are opened by workers",
  state: "states are opened by key brokers",
};
