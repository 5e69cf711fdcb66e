/** The trust report: what was proved, what was not, and who can see plaintext. For people and programs. */

/** @typedef {import("../documents/directory.js").Model} Model */

/**
 * @typedef {object} TrustReport
 * @property {boolean} simulated true: the operator can see everything
 * @property {string} hardware
 * @property {string} deployment
 * @property {string} measurement of the key broker's code
 * @property {string} signer
 * @property {string | null} tcbStatus
 * @property {string[]} advisories
 * @property {number | null} collateralIssuedMs
 * @property {string} manifestDigest
 * @property {string} instance of the key broker
 * @property {string} software as it calls itself
 * @property {number} directoryVersion
 * @property {number} directoryIssuedMs
 * @property {number} validUntilMs
 * @property {import("./trust.js").Continuity} continuity
 * @property {readonly {name: string, version: string, digest: string, default: boolean}[]} models
 * @property {readonly {kid: string, suite: string, notBeforeMs: number, retireMs: number}[]} keys
 * @property {readonly {who: string, sees: string}[]} seesPlaintext
 * @property {readonly string[]} proved
 * @property {readonly string[]} notProved
 */

const HARDWARE = { sgx: "Intel SGX", tdx: "Intel TDX", snp: "AMD SEV-SNP" };

/** @param {import("../attest/claims.js").HardwareClaims} claims */
function codeOf(claims) {
  if (claims.kind === "snp") return { measurement: claims.snp.measurement, signer: claims.snp.idKeyDigest };
  return { measurement: claims.sgx?.mrEnclave ?? claims.tdx?.mrTd ?? "", signer: claims.sgx?.mrSigner ?? "" };
}

/** @param {import("./trust.js").Verified} verified @returns {TrustReport} */
export function trustReport({ directory, approval, continuity }) {
  const { bound, hardware, validUntilMs } = approval;
  const simulated = bound.tee === "simulated";
  const intel = hardware.kind === "snp" ? null : hardware;
  const kind = HARDWARE[hardware.kind];
  return Object.freeze({
    simulated,
    hardware: simulated ? `simulation in the form of ${kind}` : kind,
    deployment: directory.deployment,
    ...codeOf(hardware),
    tcbStatus: intel?.tcbStatus ?? null,
    advisories: intel?.advisories ?? [],
    collateralIssuedMs: hardware.collateralIssuedMs,
    manifestDigest: directory.manifestDigest,
    instance: bound.instance,
    software: bound.software,
    directoryVersion: directory.version,
    directoryIssuedMs: directory.issuedMs,
    validUntilMs: Math.min(validUntilMs, directory.expiresMs),
    continuity,
    models: directory.models.map(({ name, version, digest, default: isDefault }) => ({ name, version, digest, default: isDefault })),
    keys: directory.keys.map(({ kid, suite, notBeforeMs, retireMs }) => ({ kid, suite: suite.name, notBeforeMs, retireMs })),
    seesPlaintext: seesPlaintext(simulated),
    proved: [
      `key broker: the code that the policy names${simulated ? ", as a simulation says" : `, on genuine ${kind}`}`,
      "settings of the deployment: those that the policy names",
      "directory: signed by that key broker, in date, and not older than the pinned one",
    ],
    notProved: [
      ...(simulated ? ["anything about hardware: this is a simulation, and the operator can see everything"] : []),
      ...(continuity === "withheld" ? ["what happened since the pinned directory: the host withholds the log"] : []),
      "that the models are good",
      "who serves the code of this page or program: it can read what you send",
      "the machine's place, and attacks that open the processor",
    ],
  });
}

/** @param {boolean} simulated */
const seesPlaintext = (simulated) => [
  { who: "you, and the code that runs this client", sees: "yes" },
  { who: "enclaves of the attested code", sees: "yes" },
  { who: "the operator: gateway, queue, engine, disks", sees: simulated ? "YES: this is a simulation" : "no: sizes and times only" },
  { who: "the network", sees: "no: sizes and times only" },
];

/** The report as lines of text. @param {TrustReport} report @returns {string} */
export function formatTrustReport(report) {
  /** @param {number | null} ms */
  const moment = (ms) => (ms === null ? "unknown" : new Date(ms).toISOString().replace(/\.\d+Z$/, "Z"));
  const lines = [
    ...(report.simulated ? ["SIMULATION: nothing is protected from the operator"] : []),
    `deployment   ${report.deployment}`,
    `hardware     ${report.hardware}${report.tcbStatus === null ? "" : `, ${report.tcbStatus}`}`,
    `code         ${report.measurement}`,
    `settings     ${report.manifestDigest}`,
    `directory    version ${report.directoryVersion} of ${moment(report.directoryIssuedMs)} (${report.continuity})`,
    `valid until  ${moment(report.validUntilMs)}`,
    "", "who can see plaintext", ...report.seesPlaintext.map(({ who, sees }) => `  ${who}: ${sees}`),
    "", "proved", ...report.proved.map((each) => `  ${each}`),
    "", "not proved", ...report.notProved.map((each) => `  ${each}`),
    "", "models", ...report.models.map((each) => `  ${each.name} ${each.version}  ${each.digest}`),
  ];
  return lines.join("\n");
}
