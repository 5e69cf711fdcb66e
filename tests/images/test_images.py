"""The images hold what they should and nothing else, and run as they will in a cluster."""

from __future__ import annotations

import hashlib
import json
import re
import time
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from sealflow import __version__
from sealflow.attest.evidence import Role
from sealflow.attest.simulated.measurement import IMAGE_PACKAGES
from tests.support.enclaves.enclave_folders import core, make_gramine
from tests.support.hosts.image_store import BASE, ISOLATION, ROOT
from tools.images import version
from tools.sbom import sbom
from tools.setup.flink_code import HOST_CODE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.hosts.image_store import ImageStore

pytestmark = [pytest.mark.images, pytest.mark.timeout(1800)]

NAMES = ("enclaves", "host", "flink")
PYTHONS = {
    "enclaves": "/opt/sealflow/enclaves/bin/python",
    "host": "/opt/sealflow/host/bin/python",
    "flink": "/opt/flink/bin/python",
}
IMPORTS = {
    "enclaves": "sealflow.trusted.worker.threads, sealflow.trusted.worker.models.openvino, "
    "sealflow.trusted.worker.models.onnx, sealflow.trusted.keybroker.leader",
    "host": "sealflow.host.gateway.app, sealflow.host.keybroker_host, sealflow.host.engine.local, "
    "sealflow.cli.bench.command, sealflow.owner.client.client",
    "flink": "sealflow.host.engine.flink.job",
}
BUILD_TOOLS = ("cc", "gcc", "g++", "c++", "clang", "ld", "as", "make", "pip", "pip3", "cargo")


def distributions(root: Path, prefix: str) -> set[str]:
    """List what pip installed into an environment of an image."""
    packages = next((root / prefix.lstrip("/") / "lib").glob("python3*/site-packages"))
    return {path.name.partition("-")[0] for path in packages.glob("*.dist-info")}


def pinned(name: str) -> set[str]:
    """List the packages of a hash-pinned list."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    found: list[str] = re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE)
    return {each.replace("-", "_").replace(".", "_").lower() for each in found}


@pytest.mark.parametrize("name", NAMES)
def test_user(store: ImageStore, images: dict[str, str], name: str) -> None:
    """An image runs as a user that is nobody, and none of its programs makes that one root."""
    assert store.inspect(images[name])["User"] == "10001:10001"
    assert store.inside(images[name], "id", "-u").strip() == "10001"
    raised = [path for path in walk(store.mount(images[name])) if path.lstat().st_mode & 0o6000]
    assert raised == []


def walk(root: Path) -> Iterator[Path]:
    """Give every regular file below a folder."""
    for folder in (root / "usr", root / "opt", root / "etc"):
        yield from (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


@pytest.mark.parametrize("name", NAMES)
def test_no_build_tools(store: ImageStore, images: dict[str, str], name: str) -> None:
    """An image brings nothing to build or install programs with."""
    root = store.mount(images[name])
    folders = [root / "usr/bin", root / "usr/local/bin", root / "usr/sbin"]
    folders += [root / each.lstrip("/").rpartition("/")[0] for each in PYTHONS.values()]
    found = [
        str(folder / tool) for folder in folders for tool in BUILD_TOOLS if (folder / tool).exists()
    ]
    assert found == []
    assert not (root / "build").exists()


@pytest.mark.parametrize("name", NAMES)
def test_imports(store: ImageStore, images: dict[str, str], name: str) -> None:
    """All that an image's processes import is there, without a file being written."""
    program = f"import {IMPORTS[name]}; import sealflow; print(sealflow.__version__)"
    options = ("--tmpfs=/tmp",) if name == "flink" else ()
    printed = store.inside(images[name], PYTHONS[name], "-c", program, options=options)
    assert printed.split()[-1] == __version__


def test_command(store: ImageStore, images: dict[str, str]) -> None:
    """`sealflow` is the host image's command."""
    assert store.inside(images["host"], "sealflow", "--version").strip().endswith(__version__)
    assert "Usage: sealflow" in store.inside(images["host"], "sealflow", "--help")


def test_java(store: ImageStore, images: dict[str, str]) -> None:
    """The Flink image has a Java that runs, and the scripts that the chart calls."""
    command = 'test -x "$FLINK_HOME/bin/jobmanager.sh" && "$JAVA_HOME/bin/java" -version 2>&1'
    assert "21." in store.inside(images["flink"], "sh", "-c", command, options=("--tmpfs=/tmp",))


def test_only_what_is_inside_the_wall(store: ImageStore, images: dict[str, str]) -> None:
    """The enclaves' environment holds the pinned packages and the core, and no other code."""
    root = store.mount(images["enclaves"])
    found = {each.lower() for each in distributions(root, "/opt/sealflow/enclaves")}
    assert found == pinned("trusted")
    packages = root / "opt/sealflow/enclaves/lib/python3.11/site-packages"
    ours = {path.name for path in (packages / "sealflow").iterdir()} - {"__pycache__"}
    assert ours == core()
    assert sorted(path.name for path in (root / "opt").iterdir()) == ["sealflow"]
    assert sorted(path.name for path in (root / "opt/sealflow").iterdir()) == ["enclaves"]


def test_measured_packages(store: ImageStore, images: dict[str, str]) -> None:
    """What settings accept for images is what a simulated enclave in one is measured with."""
    program = (
        "import sys; from pathlib import Path; import sealflow.attest.simulated.measurement as m; "
        "print(*(m.packages_digest(r, m.site_packages(Path(sys.prefix))).hex() for r in m.Role))"
    )
    printed = store.inside(images["enclaves"], PYTHONS["enclaves"], "-I", "-B", "-c", program)
    assert printed.split() == [IMAGE_PACKAGES[role] for role in Role]


@pytest.mark.parametrize(
    ("name", "prefix"), [("host", "/opt/sealflow/host"), ("flink", "/opt/flink")]
)
def test_host_environments_open_nothing(
    store: ImageStore, images: dict[str, str], name: str, prefix: str
) -> None:
    """The operator's environments have no model runtime; Flink's has nothing that opens seals."""
    found = distributions(store.mount(images[name]), prefix)
    assert found.isdisjoint({"onnxruntime", "openvino", "pyspng", "simplejpeg"})
    if name == "flink":
        packages = store.mount(images[name]) / "opt/flink/lib/python3.11/site-packages/sealflow"
        ours = {path.name for path in packages.iterdir()} - {"__pycache__"}
        assert ours == set(HOST_CODE)
        assert "cryptography" not in found


def test_worker_waits_for_a_frame(store: ImageStore, images: dict[str, str]) -> None:
    """A worker without its first frame ends with the word for that, and nothing else."""
    confined = ("--interactive", "--network=none", "--read-only")
    done = store.attempt("podman", "run", "--rm", *confined, images["enclaves"])
    assert done.returncode == 1
    assert done.stdout.endswith("boot")


def test_cluster(store: ImageStore, images: dict[str, str]) -> None:
    """A whole cluster in a read-only container of the host image classifies photos."""
    examples = f"--volume={ROOT / 'examples'}:/examples:ro"
    limits = ("--read-only", "--tmpfs=/tmp:mode=1777", "--cap-drop=all", "--network=none")
    command = "sealflow up --home /tmp/h --workers 1 --model /examples/tiny --json"
    command += " --model /examples/efficientnet-lite0 --enclaves /opt/sealflow/enclaves"
    started = ("podman", "run", "--detach", *limits, examples, images["host"], *command.split())
    container = store.run(*started).strip()
    try:
        await_line(store, container, '"simulated"')
        photo = "/examples/photos/chelsea.jpg"
        told = store.run(
            *("podman", "exec", container, "sealflow", "infer", "--home=/tmp/h", "--json"),
            *("--model=efficientnet-lite0", photo),
        )
        assert "cat" in told
        processes = store.run("podman", "top", container, "args")
        trusted = "/opt/sealflow/enclaves/bin/python -I -B -m sealflow.trusted"
        assert processes.count(f"{trusted}.worker") == 1
        assert f"{trusted}.keybroker" in processes
    finally:
        store.run("podman", "rm", "--force", "--time=20", container)


def await_line(store: ImageStore, container: str, text: str) -> None:
    """Wait until a container has printed something.

    Fails the test when the container ends or two minutes pass.
    """
    until = time.monotonic() + 120
    while True:
        printed = store.attempt("podman", "logs", container)
        if text in printed.stdout:
            return
        running = store.run("podman", "inspect", "--format={{.State.Running}}", container)
        assert running.strip() == "true", printed.stderr[-2000:]
        assert time.monotonic() < until, printed.stderr[-2000:]
        time.sleep(0.5)


@pytest.fixture(scope="module")
def manifests(
    store: ImageStore, images: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Render the manifests in an image build, twice, from enclaves that were built twice."""
    folder = tmp_path_factory.mktemp("gramine")
    make_gramine(folder / "gramine")
    base = "localhost/gramine-layout:test"
    recipe = (
        f"FROM {BASE}\nRUN apt-get update -q && apt-get install -q -y --no-install-recommends "
        "libgcc-s1 libstdc++6 python3\nCOPY gramine /usr/lib/x86_64-linux-gnu/gramine\n"
    )
    (folder / "Containerfile").write_text(recipe)
    store.run("buildah", "build", *ISOLATION, "--layers", f"--tag={base}", folder)
    first, again = "localhost/sealflow", "localhost/sealflow-again"
    store.build(f"--registry={again}", "--buildah=--no-cache", "enclaves")
    rendered = {}
    for name, registry in (("first", first), ("second", again)):
        image = f"{registry}/manifests:test"
        store.run(
            "buildah",
            "build",
            *ISOLATION,
            "--layers",
            "--target=manifests",
            f"--file={ROOT / 'deploy/images/enclaves-sgx.Containerfile'}",
            f"--build-arg=ENCLAVES={registry}/enclaves:{version()}",
            f"--build-arg=GRAMINE={base}",
            "--build-arg=THREADS=2",
            f"--tag={image}",
            ROOT,
        )
        rendered[name] = store.mount(image) / "opt/sealflow/enclaves"
    return rendered


def test_manifests_render_in_the_build(manifests: dict[str, Path]) -> None:
    """An image build renders both manifests from the files of the image itself."""
    for role in ("worker", "keybroker"):
        text = (manifests["first"] / f"{role}.manifest").read_text()
        assert "insecure__" not in text
        assert "simulated" not in text
        assert f'"sealflow.trusted.{role}"' in text
        root = manifests["first"].parents[2]
        files = tomllib.loads(text)["sgx"]["trusted_files"]
        assert len(files) > 1000
        for each in files[:: len(files) // 50]:
            path = root / each["uri"].removeprefix("file:").lstrip("/")
            if not path.is_symlink():
                assert hashlib.sha256(path.read_bytes()).hexdigest() == each["sha256"], path


def test_same_commit_same_measurement(manifests: dict[str, Path]) -> None:
    """Two builds of the same commit give the same manifests, so the same measurements."""
    for role in ("worker", "keybroker"):
        first, second = (each / f"{role}.manifest" for each in manifests.values())
        assert first.read_text().splitlines() == second.read_text().splitlines()


@pytest.mark.parametrize("name", NAMES)
def test_sbom(store: ImageStore, images: dict[str, str], name: str) -> None:
    """The bill of materials of an image names its Debian packages and its Python packages."""
    bill: dict[str, Any] = json.loads(json.dumps(sbom(store.mount(images[name]), name, version())))
    urls = {component["purl"] for component in bill["components"]}
    assert any(url.startswith("pkg:deb/debian/libssl3@") for url in urls)
    assert any(url.startswith("pkg:pypi/openvino@") for url in urls)
    assert len(urls) == len(bill["components"]) > 100
