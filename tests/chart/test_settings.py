"""What the chart writes into ConfigMaps is what the processes read."""

from __future__ import annotations

import socket
import subprocess
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import yaml

from sealflow.host.broker.embedded_server import wheel_server
from sealflow.host.engine.config import EngineConfig
from sealflow.host.engine.flink.settings import FlinkJob
from sealflow.host.gateway.config import GatewayConfig
from sealflow.host.keybroker_host.config import KeyBrokerHostConfig
from sealflow.host.settings import load_settings
from tests.support.chart.rendering import (
    RELEASE,
    Object,
    Release,
    containers_of,
    files_of,
    pods_of,
    render,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import msgspec

    Rendered = Callable[[str], list[Object]]

FILES: Final[dict[str, type[msgspec.Struct]]] = {
    "gateway.toml": GatewayConfig,
    "keybroker.toml": KeyBrokerHostConfig,
    "engine.toml": EngineConfig,
    "job.toml": FlinkJob,
}


def test_processes_read_their_settings(
    combination: str, rendered: Rendered, tmp_path: Path
) -> None:
    """Every TOML file is taken by the process that it is for."""
    files = files_of(rendered(combination))
    found = set(FILES) & set(files)
    assert found >= {"gateway.toml", "keybroker.toml", "engine.toml"}
    for name in found:
        (tmp_path / name).write_text(files[name].replace("@HOSTNAME@", "pod-0"))
        config = load_settings(tmp_path / name, FILES[name])
        assert "sealflow" in str(config)


@pytest.mark.parametrize("name", ["keybroker.toml", "engine.toml"])
def test_collateral(name: str, rendered: Rendered, tmp_path: Path) -> None:
    """On SGX, whoever starts enclaves knows the operator's PCCS; a simulation needs none."""
    for combination, known in (("sgx", True), ("nonsgx", False)):
        path = tmp_path / name
        path.write_text(files_of(rendered(combination))[name].replace("@HOSTNAME@", "pod-0"))
        config = load_settings(path, EngineConfig if name == "engine.toml" else KeyBrokerHostConfig)
        assert (config.collateral is not None) == known
        if config.collateral is not None:
            assert str(config.collateral.pccs_url).startswith("https://pccs.")
            assert config.collateral.ca_file == "/etc/sealflow-pccs/ca.crt"


def test_memory_of_a_worker(rendered: Rendered, tmp_path: Path) -> None:
    """A worker may claim what the pod has for it; an enclave is bounded by its size."""
    for combination, limit in (("sgx", 0), ("nonsgx", 2**30)):
        path = tmp_path / "engine.toml"
        text = files_of(rendered(combination))["engine.toml"]
        path.write_text(text.replace("@HOSTNAME@", "pod-0"))
        assert load_settings(path, EngineConfig).worker_limit_bytes(1) == limit


@pytest.mark.parametrize("name", ["sgx", "PCCS root in a Secret"])
def test_root_of_the_pccs(name: str, rendered: Rendered) -> None:
    """Whoever asks the PCCS has the root that its certificate is checked against, by one name."""
    pods = pods_of(rendered(name))
    seen = set()
    for owner, pod in pods.items():
        volumes = [each for each in pod["spec"]["volumes"] if each["name"] == "pccs-ca"]
        mounts = {
            each["mountPath"]: each.get("subPath")
            for container in containers_of(pod)
            for each in container["volumeMounts"]
            if each["name"] == "pccs-ca"
        }
        if not volumes:
            assert mounts == {}
            continue
        seen.add(owner.rpartition("-")[2])
        assert mounts == {
            "/etc/sealflow-pccs": None,
            "/etc/ssl/certs/ca-certificates.crt": "ca.crt",
        }
        source = volumes[0].get("configMap") or volumes[0]["secret"]
        key = "root.pem" if "secret" in volumes[0] else "ca.crt"
        assert source["items"] == [{"key": key, "path": "ca.crt"}]
        assert ("secret" in volumes[0]) == (name != "sgx")
    assert seen == {"taskmanager", "keybroker"}


def test_files_are_where_settings_say(combination: str, rendered: Rendered) -> None:
    """Every file that a process's settings name is mounted in its pod."""
    objects = rendered(combination)
    files = files_of(objects)
    for name, pod in pods_of(objects).items():
        for container in containers_of(pod):
            paths = [mount["mountPath"] for mount in container["volumeMounts"]]
            text = files.get(f"{name.rpartition('-')[2].replace('taskmanager', 'engine')}.toml", "")
            words = [*container["command"], *container.get("args", ()), *text.split('"')]
            for word in words:
                path = word.rpartition("=")[2]
                if path.startswith(("/run/", "/etc/", "/var/")) and " " not in path:
                    assert any(Path(path).is_relative_to(each) for each in paths), (name, path)


@pytest.mark.parametrize("name", ["nonsgx", "Flink operator"])
def test_a_job_names_a_file_of_taskmanagers(name: str, rendered: Rendered, tmp_path: Path) -> None:
    """The engine's settings that the job names are mounted in TaskManagers, by that very name."""
    objects = rendered(name)
    (tmp_path / "job.toml").write_text(files_of(objects)["job.toml"])
    settings = Path(load_settings(tmp_path / "job.toml", FlinkJob).engine_config)
    (spec,) = (
        each["spec"]["taskManager"]["podTemplate"]["spec"]
        if each["kind"] == "FlinkDeployment"
        else each["spec"]["template"]["spec"]
        for each in objects
        if each["kind"] == "FlinkDeployment"
        or (each["metadata"]["name"] == f"{RELEASE}-taskmanager" and each["kind"] == "StatefulSet")
    )
    (mount,) = (
        each["name"]
        for each in spec["containers"][0]["volumeMounts"]
        if Path(each["mountPath"]) == settings.parent
    )
    (volume,) = (each for each in spec["volumes"] if each["name"] == mount)
    maps = {each["metadata"]["name"]: each for each in objects if each["kind"] == "ConfigMap"}
    assert settings.name in maps[volume["configMap"]["name"]]["data"]


@pytest.mark.parametrize("name", ["nonsgx", "no TLS"])
def test_a_broker_takes_its_settings(name: str, rendered: Rendered, tmp_path: Path) -> None:
    """A real server starts with the rendered file, once its paths and port are this machine's."""
    text = files_of(rendered(name))["valkey.conf"]
    folder = "/run/secrets/sealflow"
    (tmp_path / "password").mkdir()
    (tmp_path / "password" / "users.acl").write_text("user default on nopass -@all +ping\n")
    kept = [
        line.replace(folder, str(tmp_path)).replace("dir /data", f"dir {tmp_path}")
        for line in text.splitlines()
        if not line.startswith(("tls-", "port "))
    ]
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    path = tmp_path / "valkey.conf"
    path.write_text("\n".join([*kept, f"port {port}", "bind 127.0.0.1", ""]))
    process = subprocess.Popen([wheel_server(), path], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "Ready to accept connections" in line:
                break
        assert "Ready" in lines[-1], lines
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"PING\r\nKEYS *\r\n")
            answer = client.makefile("rb")
            assert answer.readline() == b"+PONG\r\n"
            assert answer.readline().startswith(b"-NOPERM")
    finally:
        process.kill()
        process.communicate()


def test_flink_settings(rendered: Rendered) -> None:
    """Flink's file is YAML of one level, with pinned ports and sizes that fit the pod."""
    config = yaml.safe_load(files_of(rendered("nonsgx-ha"))["config.yaml"])
    assert all(not isinstance(value, dict) for value in config.values())
    assert config["taskmanager.memory.process.size"] == "1024m"
    assert config["taskmanager.numberOfTaskSlots"] == 1
    assert config["high-availability.type"] == "kubernetes"
    assert config["kubernetes.namespace"] == "serving"
    assert config["scheduler-mode"] == "reactive"
    assert config["security.ssl.rest.authentication-enabled"] is True
    assert not any("password" in key for key in config)


def test_stored_jobs(tmp_path: Path) -> None:
    """What JobManagers store is found by those of the same image, and for the same settings."""

    def names(values: Object) -> tuple[str, str]:
        files = files_of(render(Release(presets=("nonsgx", "ha"), values=values), tmp_path))
        config = yaml.safe_load(files["config.yaml"])
        assert config["kubernetes.cluster-id"] == config["high-availability.cluster-id"]
        return config["kubernetes.cluster-id"], tomllib.loads(files["job.toml"])["name"]

    place, job = names({})
    assert names({"gateway": {"replicas": 4}}) == (place, job)
    more = names({"taskmanager": {"replicas": 5}})
    assert more[0] == place
    assert more[1] != job
    other = names({"jobmanager": {"image": {"tag": "next"}}})
    assert other[0] != place
