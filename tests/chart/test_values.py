"""Values: documented, bounded by a schema, refused with one clear line when they cannot work."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from sealflow.host.engine.config import EngineConfig
from sealflow.host.gateway.config import GatewayConfig
from sealflow.host.keybroker_host.config import KeyBrokerHostConfig
from tests.support.chart.rendering import CHART, REAL, HelmError, Object, Release, render
from tools import chart_readme

if TYPE_CHECKING:
    from pathlib import Path

VALUES: Final = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA: Final = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS: Final = json.dumps({"deployment": "sealflow", "tee": "simulated"})


def leaves(values: Object, path: str = "") -> list[str]:
    """Give the paths of all values, down to what has no keys."""
    found = []
    for key, value in values.items():
        if isinstance(value, dict) and value and key != "resources":
            found += leaves(value, f"{path}{key}.")
        else:
            found.append(f"{path}{key}")
    return found


def objects_in(schema: Any) -> list[Object]:
    """Give all parts of a schema that describe objects with named keys."""
    if isinstance(schema, list):
        return [found for each in schema for found in objects_in(each)]
    if not isinstance(schema, dict):
        return []
    own = [schema] if schema.get("type") == "object" and "properties" in schema else []
    return own + [found for each in schema.values() for found in objects_in(each)]


def test_every_value_is_described() -> None:
    """Each value has its line in the README, except those that share an anchor's."""
    text = (CHART / "values.yaml").read_text()
    described = {path for path, _ in chart_readme.describe(text)}
    shared = {f"{each}.image" for each in ("taskmanager", "gateway", "benchmark")}
    for path in leaves(VALUES):
        assert path in described or path.rpartition(".")[0] in shared, path


def test_the_readme_is_fresh() -> None:
    """The README is what the values say: run `make docs`."""
    assert chart_readme.README.read_text() == chart_readme.readme()


def test_the_schema_is_closed() -> None:
    """No object of the schema takes a key that it does not name."""
    found = objects_in({key: SCHEMA[key] for key in ("properties", "$defs")})
    assert len(found) > 40
    assert all(each["additionalProperties"] is False for each in found)


def test_the_schema_knows_every_value() -> None:
    """Each key of values.yaml is in the schema, and each key of the schema in values.yaml."""
    _same(SCHEMA, VALUES)


def _same(schema: Object, values: Object, path: str = "") -> None:
    schema = SCHEMA["$defs"]["image"] if schema.get("$ref") == "#/$defs/image" else schema
    names = schema.get("properties")
    if names is None or path.endswith((".settings", ".requests", ".limits")):
        return
    assert set(names) == set(values), path
    for name, value in values.items():
        if isinstance(value, dict):
            _same(names[name], value, f"{path}.{name}")


@pytest.mark.parametrize(
    ("component", "kind"),
    [("gateway", GatewayConfig), ("engine", EngineConfig), ("keybroker", KeyBrokerHostConfig)],
)
def test_settings_are_those_of_the_process(component: str, kind: type) -> None:
    """The free settings of a process are its own fields, less those that the chart sets."""
    known = set(SCHEMA["properties"][component]["properties"]["settings"]["properties"])
    fields = set(kind.__struct_fields__)  # type: ignore[attr-defined]  # msgspec's name
    assert known <= fields
    set_by_chart = {name for name in fields - known if not name.startswith("broker_")}
    assert set_by_chart <= {
        *(
            "deployment",
            "deployment_file",
            "simulated_platform_file",
            "sgx_mode",
            "enclaves_dir",
            "collateral",
        ),
        *("packages_dir", "state_dir", "host", "port", "tls_certificate", "tls_key", "logs_dir"),
        *("threads", "runtime", "max_batch", "max_wait_ms", "workers", "worker_memory_bytes"),
        "max_owners",
        "instance",
    }


REFUSED: Final[dict[str, tuple[Release, str]]] = {
    "unknown value": (
        Release(values={"gateway": {"replica": 3}}),
        "additional properties 'replica' not allowed",
    ),
    "unknown setting": (
        Release(values={"gateway": {"settings": {"max_wait": 3}}}),
        "'max_wait' not allowed",
    ),
    "unknown mode": (Release(values={"sgx": {"mode": "SGX"}}), "sgx/mode"),
    "wrong type": (Release(values={"gateway": {"replicas": "3"}}), "got string, want integer"),
    "wrong quantity": (Release(values={"broker": {"maxMemory": "1gb"}}), "broker/maxMemory"),
    "password in the URL": (
        Release(values={"broker": {"bundled": False, "external": {"url": "valkey://u:p@h:1"}}}),
        "broker/external/url",
    ),
    "external broker without URL": (
        Release(values={"broker": {"bundled": False}}),
        "broker/external/url",
    ),
    "secret in a variable": (
        Release(values={"gateway": {"extraEnv": [{"name": "DB_PASSWORD", "value": "x"}]}}),
        "gateway/extraEnv",
    ),
    "no settings of enclaves": (
        Release(values={"deployment": {"settings": ""}}),
        "--set-file deployment.settings=deployment.json",
    ),
    "settings that are no JSON": (
        Release(values={"deployment": {"settings": "deployment.json"}}),
        "deployment.settings is not JSON",
    ),
    "settings of another deployment": (
        Release(values={"deployment": {"name": "other"}}),
        "deployment.name is other, but deployment.settings is for sealflow",
    ),
    "real settings, simulated parts": (
        Release(values={"deployment": {"settings": REAL}}),
        "real and simulated parts do not mix",
    ),
    "simulated settings, real parts": (
        Release(presets=("sgx",), values={"deployment": {"settings": DEFAULTS}}),
        "real and simulated parts do not mix",
    ),
    "simulated platform in a real TEE": (
        Release(presets=("sgx",), values={"simulatedPlatform": {"existingSecret": "x"}}),
        "simulated and real parts do not mix",
    ),
    "simulated without platform": (
        Release(values={"simulatedPlatform": {"existingSecret": ""}}),
        "simulatedPlatform.existingSecret is not set",
    ),
    "sgx in a confidential VM": (
        Release(
            presets=("sgx",), values={"confidentialVm": {"tee": "tdx", "runtimeClassName": "x"}}
        ),
        "confidentialVm/tee",
    ),
    "sgx without PCCS": (Release(presets=("sgx",), values={"sgx": {"pccsUrl": ""}}), "sgx/pccsUrl"),
    "PCCS without its root": (
        Release(presets=("sgx",), values={"sgx": {"pccsCa": {"existingConfigMap": ""}}}),
        "sgx.pccsCa needs one of existingConfigMap and existingSecret",
    ),
    "PCCS with two roots": (
        Release(presets=("sgx",), values={"sgx": {"pccsCa": {"existingSecret": "x"}}}),
        "sgx.pccsCa needs one of existingConfigMap and existingSecret",
    ),
    "confidential VM without class": (
        Release(values={"confidentialVm": {"tee": "snp"}}),
        "confidentialVm/runtimeClassName",
    ),
    "too little memory": (
        Release(values={"taskmanager": {"numberOfTaskSlots": 2}}),
        "taskmanager.resources.limits.memory is 2560Mi, but its parts need 3584 MiB",
    ),
    "too little memory for a worker": (
        Release(values={"taskmanager": {"memory": {"worker": "256Mi"}}}),
        "taskmanager.memory.worker is 256Mi, but a worker needs at least 512Mi",
    ),
    "too little memory for the JVM": (
        Release(values={"taskmanager": {"memory": {"process": "512Mi"}}}),
        "a TaskManager does not start with less than 768Mi",
    ),
    "JobManager over its limit": (
        Release(values={"jobmanager": {"processMemory": "2Gi"}}),
        "more than jobmanager.resources.limits.memory",
    ),
    "broker over its limit": (
        Release(values={"broker": {"maxMemory": "2Gi"}}),
        "the kernel kills the broker",
    ),
    "too little memory for a gateway": (
        Release(values={"gateway": {"resources": {"limits": {"memory": "128Mi"}}}}),
        "a gateway needs at least 192Mi",
    ),
    "gateway that holds over a quarter": (
        Release(values={"gateway": {"settings": {"max_held_bytes": 2**27}}}),
        "over a quarter of gateway.resources.limits.memory",
    ),
    "too little EPC": (
        Release(presets=("sgx",), values={"taskmanager": {"epc": "1Gi"}}),
        "taskmanager.epc is 1Gi, but 1 enclaves of taskmanager.worker.enclaveSize 4Gi need 4096",
    ),
    "too little EPC for the key broker": (
        Release(presets=("sgx",), values={"keybroker": {"epc": "128Mi"}}),
        "keybroker.epc is 128Mi",
    ),
    "two JobManagers without HA": (
        Release(values={"jobmanager": {"replicas": 2}}),
        "set flink.ha.enabled",
    ),
    "HA without storage": (
        Release(values={"flink": {"ha": {"enabled": True}}}),
        "flink/ha/storageDir",
    ),
    "HA on a claim without a name": (
        Release(values={"flink": {"ha": {"enabled": True, "storageDir": "file:///flink-ha"}}}),
        "name it in flink.ha.existingClaim",
    ),
    "operator and autoscaling": (
        Release(
            values={"flink": {"operator": True}, "taskmanager": {"autoscaling": {"enabled": True}}}
        ),
        "exclude each other",
    ),
    "cert-manager without issuer": (
        Release(values={"tls": {"certManager": {"enabled": True}}}),
        "tls/certManager/issuers",
    ),
    "external secrets without store": (
        Release(values={"externalSecrets": {"enabled": True}}),
        "externalSecrets/storeRef/name",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, tmp_path: Path) -> None:
    """What cannot work is refused before anything is installed, with what to do."""
    release, reason = REFUSED[name]
    with pytest.raises(HelmError) as caught:
        render(release, tmp_path)
    # A long line is one line: helm folds none of ours.
    assert reason in str(caught.value)


def test_every_refusal_of_the_chart_is_tested() -> None:
    """Each `fail` of the checks that needs no cluster has a case above."""
    text = (CHART / "templates" / "checks.yaml").read_text()
    of_the_cluster = 3
    reasons = [
        reason for _, reason in REFUSED.values() if "/" not in reason and "allowed" not in reason
    ]
    assert text.count("fail ") - of_the_cluster <= len(reasons)
