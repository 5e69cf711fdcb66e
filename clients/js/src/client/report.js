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
 * @property {readonly string[]} verifiers whose passports counted
 * @property {boolean} evidenceChecked false: a passport stood in for the evidence
 * @property {string} manifestDigest
 * @property {string} instance of the key broker
 * @property {string} software as it calls itself
 * @property {number} directoryVersion
 * @property {number} directoryIssuedMs
 * @property {number} validUntilMs
 * @property {import("./trust.js").Continuity} continuity
 * @property {readonly {name: string, version: string, digest: string, default: boolean, shareBatch: boolean}[]} models shareBatch: with other clients' rows, if all ask for it
 * @property {readonly {kid: string, suite: string, notBeforeMs: number, retireMs: number}[]} keys
 * @property {readonly {who: string, sees: string}[]} seesPlaintext
 * @property {readonly string[]} proved
 * @property {readonly string[]} notProved
 */

const HARDWARE = { sgx: "Intel SGX", tdx: "Intel TDX", snp: "AMD SEV-SNP" };

/** What is known of hardware and code: by the evidence, or by a passport in its place. @param {import("../attest/appraise.js").Approval} approval */
function platformOf({ hardware, passports }) {
  if (hardware === null) {
    const { form, measurement, signer, tcb_status, advisories, collateral_issued_ms } = passports[0].claims;
    return { form, measurement, signer, tcbStatus: form === "snp" ? null : tcb_status, advisories, collateralIssuedMs: collateral_issued_ms };
  }
  const { kind, collateralIssuedMs } = hardware;
  if (kind === "snp") {
    const { measurement, idKeyDigest } = hardware.snp;
    return { form: kind, measurement, signer: idKeyDigest, tcbStatus: null, advisories: [], collateralIssuedMs };
  }
  const { sgx, tdx, tcbStatus, advisories } = hardware;
  return { form: kind, measurement: sgx?.mrEnclave ?? tdx?.mrTd ?? "", signer: sgx?.mrSigner ?? "", tcbStatus, advisories, collateralIssuedMs };
}

/** @param {import("./trust.js").Verified} verified @returns {TrustReport} */
export function trustReport({ directory, approval, continuity }) {
  const { bound, hardware, passports, validUntilMs } = approval;
  const simulated = bound.tee === "simulated";
  const { form, ...platform } = platformOf(approval);
  const kind = HARDWARE[/** @type {"sgx" | "tdx" | "snp"} */ (form)];
  const verifiers = passports.map((each) => each.verifier);
  return Object.freeze({
    simulated,
    hardware: simulated ? `simulation in the form of ${kind}` : kind,
    deployment: directory.deployment,
    ...platform,
    verifiers,
    evidenceChecked: hardware !== null,
    manifestDigest: directory.manifestDigest,
    instance: bound.instance,
    software: bound.software,
    directoryVersion: directory.version,
    directoryIssuedMs: directory.issuedMs,
    validUntilMs: Math.min(validUntilMs, directory.expiresMs),
    continuity,
    models: directory.models.map(({ name, version, digest, default: isDefault, share_batch: shareBatch = false }) => (
      { name, version, digest, default: isDefault, shareBatch })),
    keys: directory.keys.map(({ kid, suite, notBeforeMs, retireMs }) => ({ kid, suite: suite.name, notBeforeMs, retireMs })),
    seesPlaintext: seesPlaintext(simulated),
    proved: [
      `key broker: the code that the policy names${simulated ? ", as a simulation says" : `, on genuine ${kind}`}`,
      ...(hardware === null ? [`that is what ${verifiers.join(" and ")} signed: no evidence was checked here`] : []),
      "settings of the deployment: those that the policy names",
      "directory: signed by that key broker, in date, and not older than the pinned one",
      ...(approval.witnesses?.length ? [`log of the directory: signed by the witnesses ${approval.witnesses.join(" and ")}`] : []),
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
    ...(report.verifiers.length ? [`passports    of ${report.verifiers.join(", ")}${report.evidenceChecked ? "" : ", in place of evidence"}`] : []),
    `settings     ${report.manifestDigest}`,
    `directory    version ${report.directoryVersion} of ${moment(report.directoryIssuedMs)} (${report.continuity})`,
    `valid until  ${moment(report.validUntilMs)}`,
    "", "who can see plaintext", ...report.seesPlaintext.map(({ who, sees }) => `  ${who}: ${sees}`),
    "", "proved", ...report.proved.map((each) => `  ${each}`),
    "", "not proved", ...report.notProved.map((each) => `  ${each}`),
    "", "models", ...report.models.map((each) => `  ${each.name} ${each.version}  ${each.digest}${each.shareBatch ? "  batches shared on request" : ""}`),
  ];
  return lines.join("\n");
}
