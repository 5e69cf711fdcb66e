/** A page that verifies a service, seals a photo to it, and shows the five best classes. */

import { browserPin, Client, formatTrustReport, SealflowError } from "sealflow";

const element = (id) => document.getElementById(id);

/** Gateway, policy and model come from whoever serves this page. */
const settings = await (await fetch("settings.json", { cache: "no-store" })).json();

function say(text, isError = false) {
  element("status").textContent = text;
  element("status").className = isError ? "error" : "";
}

function complain(error) {
  if (!(error instanceof SealflowError)) throw error;
  say(`${error.code}: ${error.message}. ${error.hint}`, true);
}

async function connect() {
  const gateway = new URL(settings.gateway, location.href);
  const client = await Client.connect(gateway, { policy: settings.policy, pin: browserPin(gateway.href) });
  element("report").textContent = formatTrustReport(client.trust);
  element("simulation").hidden = !client.trust.simulated;
  element("trust").hidden = element("form").hidden = false;
  say("Verified. Your photo is sealed in this page, and opened only in the enclave.");
  return client;
}

function show(classes) {
  const rows = classes.map(({ label, index, score }) => {
    const row = document.createElement("tr");
    for (const text of [label || `class ${index}`, score.toFixed(3)]) row.append(Object.assign(document.createElement("td"), { textContent: text }));
    return row;
  });
  element("classes").tBodies[0].replaceChildren(...rows);
  element("classes").hidden = false;
}

async function classify(client, photo) {
  say("Sealed and sent …");
  element("preview").src = URL.createObjectURL(photo);
  element("preview").hidden = false;
  const { classes, instance } = await client.infer(settings.model, { image: photo }, { topK: 5 });
  show(Object.values(classes)[0][0]);
  element("report").textContent = formatTrustReport(client.trust);
  say(`Answered by enclave ${instance}.`);
}

try {
  const client = await connect();
  element("photo").addEventListener("change", ({ target }) => {
    if (target.files[0]) classify(client, target.files[0]).catch(complain);
  });
} catch (error) {
  complain(error);
}
