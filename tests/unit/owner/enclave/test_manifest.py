"""The manifests of both enclaves, rendered over a real environment."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from sealflow.cli.operator.enclave import enclave
from sealflow.errors import ConfigError
from sealflow.owner import Role
from sealflow.owner.enclave.contents import PythonInstall, enclave_files
from sealflow.owner.enclave.manifest import (
    ManifestTemplate,
    manifest_text,
    render,
    unsafe_settings,
)
from sealflow.owner.enclave.sizing import EnclaveLoad
from tests.support.enclaves.enclave_folders import TEMPLATES, make_enclaves, make_gramine
from tools.tcb import THIRD_PARTY

if TYPE_CHECKING:
    from collections.abc import Mapping

PROCESSES = {Role.WORKER: "worker", Role.KEY_BROKER: "key broker"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with an environment for a key broker and one laid out like Gramine's."""
    folder = tmp_path_factory.mktemp("place")
    make_gramine(folder / "gramine")
    make_enclaves(folder / "enclaves")
    return folder


@pytest.fixture(scope="module")
def manifest(place: Path) -> Mapping[str, Any]:
    """Render the key broker's manifest with the command."""
    return built(place, "keybroker")


def built(place: Path, *arguments: str) -> dict[str, Any]:
    """Run `sealflow enclave build` and read what it wrote."""
    done = CliRunner().invoke(enclave, build(place, *arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    return tomllib.loads(Path(said["keybroker"]["manifest"]).read_text())


def build(place: Path, *arguments: str) -> list[str]:
    """Give the command line of a build."""
    return [
        "build",
        f"--enclaves={place / 'enclaves'}",
        f"--gramine={place / 'gramine'}",
        f"--templates={TEMPLATES}",
        "--json",
        *arguments,
    ]


def trusted(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Give the trusted files with their hashes."""
    return {file["uri"].removeprefix("file:"): file["sha256"] for file in _files(manifest)}


def _files(manifest: Mapping[str, Any]) -> list[dict[str, str]]:
    files: list[dict[str, str]] = manifest["sgx"]["trusted_files"]
    return files


def test_keeps_the_rules(manifest: Mapping[str, Any]) -> None:
    """Nothing in a rendered manifest lets the host in, by word or by meaning."""
    assert list(unsafe_settings(manifest)) == []
    assert "insecure" not in manifest_text(manifest)
    assert "passthrough" not in manifest_text(manifest)
    assert "allowed_files" not in manifest["sgx"]
    assert manifest["sgx"]["debug"] is False
    assert manifest["sgx"]["remote_attestation"] == "dcap"
    assert manifest["sys"]["enable_extra_runtime_domain_names_conf"] is False
    assert manifest["loader"]["argv"][1:] == ["-I", "-B", "-m", "sealflow.trusted.keybroker"]
    assert all(isinstance(value, str) for value in manifest["loader"]["env"].values())


def test_hashes(manifest: Mapping[str, Any]) -> None:
    """Every file is there, once, with the hash of its content."""
    files = trusted(manifest)
    assert len(files) == len(_files(manifest)) > 500
    for name, digest in files.items():
        assert hashlib.sha256(Path(name).read_bytes()).hexdigest() == digest


def test_only_what_is_inside_the_wall(place: Path, manifest: Mapping[str, Any]) -> None:
    """Of our code and of site-packages, only what belongs to a key broker is trusted."""
    packages = next((place / "enclaves" / "lib").glob("python*/site-packages"))
    inside = {
        Path(name).relative_to(packages).parts
        for name in trusted(manifest)
        if Path(name).is_relative_to(packages)
    }
    tops = {parts[0].partition(".")[0].partition("-")[0] for parts in inside}
    assert tops == {"sealflow", "cryptography", "dcap_qvl", "_cffi_backend"}
    ours = {parts[1].removesuffix(".py") for parts in inside if parts[0] == "sealflow"}
    assert ours == {
        "__init__",
        "attest",
        "backoff",
        "documents",
        "errors",
        "evidence_hints",
        "openinfer",
        "package",
        "seal",
        "trusted",
        "wire",
    }
    trusted_ours = {parts[2] for parts in inside if parts[:2] == ("sealflow", "trusted")}
    assert "keybroker" in trusted_ours
    assert "worker" not in trusted_ours
    assert not any("simulated" in name for parts in inside for name in parts)


def test_system_libraries(manifest: Mapping[str, Any]) -> None:
    """Of the system's libraries only the needed ones are trusted, and Gramine's C library is."""
    names = {Path(name).name for name in trusted(manifest) if "site-packages" not in name}
    assert {"libcrypto.so.3", "libz.so.1", "libgcc_s.so.1", "libc.so.6"} <= names
    system = [name for name in trusted(manifest) if Path(name).parts[-2] == "x86_64-linux-gnu"]
    assert 5 < len(system) < 40
    assert not any(Path(name).name == "libc.so.6" for name in system)


def test_mounts(manifest: Mapping[str, Any]) -> None:
    """Every trusted file can be seen inside, in a mount that is no more than its folder."""
    first, *others = manifest["fs"]["mounts"]
    assert first == {"path": "/tmp", "type": "tmpfs"}  # noqa: S108 - it would hide what comes before
    mounts = [mount["uri"].removeprefix("file:") for mount in others]
    for name in trusted(manifest):
        assert any(Path(name).is_relative_to(mount) for mount in mounts), name
    assert "/" not in mounts
    assert manifest["fs"]["root"]["type"] == "tmpfs"


def test_same_commit_same_manifest(place: Path, manifest: Mapping[str, Any]) -> None:
    """Rendering again gives the same bytes."""
    assert manifest_text(built(place, "keybroker")) == manifest_text(manifest)


def test_changed_code_changes_the_manifest(place: Path, manifest: Mapping[str, Any]) -> None:
    """A changed line inside the enclave changes the manifest; one outside does not."""
    package = next((place / "enclaves" / "lib").glob("python*/site-packages")) / "sealflow"
    outside, inside = package / "host" / "service.py", package / "trusted" / "port.py"
    for path, same in ((outside, True), (inside, False)):
        text = path.read_bytes()
        path.write_bytes(text + b"#\n")
        try:
            assert (built(place, "keybroker") == manifest) is same
        finally:
            path.write_bytes(text)


def test_added_file_outside_the_list(place: Path, manifest: Mapping[str, Any]) -> None:
    """A package that is not on the template's list does not exist for the enclave."""
    packages = next((place / "enclaves" / "lib").glob("python*/site-packages"))
    (packages / "stranger.py").write_text("raise SystemExit")
    assert built(place, "keybroker") == manifest
    (packages / "stranger.py").unlink()


@pytest.mark.parametrize("role", Role)
def test_templates_list_what_is_imported(role: Role) -> None:
    """A template lists the packages that its process imports, and what these bring along."""
    template = ManifestTemplate.read(TEMPLATES / f"{role}.manifest.toml", role, Path("/enclaves"))
    names = {name for name in template.packages if not name.endswith(".dist-info")}
    listed = {name.partition(".")[0] for name in names} - {"sealflow"}
    brought = {"_cffi_backend"}
    assert listed - brought == THIRD_PARTY[PROCESSES[role]]


@pytest.mark.parametrize("role", Role)
def test_templates_are_minimal(role: Role) -> None:
    """The two templates differ in names and packages, and set nothing unknown to this test."""
    template = ManifestTemplate.read(TEMPLATES / f"{role}.manifest.toml", role, Path("/enclaves"))
    assert template.manifest["loader"]["argv"][-1] == f"sealflow.trusted.{role}"
    assert set(template.manifest) == {"fs", "libos", "loader", "sgx", "sys"}
    assert set(template.manifest["sgx"]) == {
        "debug",
        "edmm_enable",
        "file_check_policy",
        "isvprodid",
        "isvsvn",
        "remote_attestation",
    }
    product = {Role.WORKER: 1, Role.KEY_BROKER: 2}
    assert template.manifest["sgx"]["isvprodid"] == product[role]


def changed(manifest: Mapping[str, Any], name: str, value: object) -> dict[str, Any]:
    """Change one value of a manifest."""
    copy: dict[str, Any] = json.loads(json.dumps(manifest))
    *path, last = name.split("/")
    table = copy
    for each in path:
        table = table.setdefault(each, {})
    table[last] = value
    return copy


RULES: dict[str, tuple[str, object]] = {
    "loader.argv must be fixed": ("loader/argv", []),
    "insecure__use_cmdline_argv must not": ("loader/insecure__use_cmdline_argv", True),
    "insecure__use_host_env must not": ("loader/insecure__use_host_env", True),
    "loader.argv_src_file takes": ("loader/argv_src_file", "file:argv"),
    "loader.env_src_file takes": ("loader/env_src_file", "file:env"),
    "loader.env.PATH.passthrough takes": ("loader/env/PATH", {"passthrough": True}),
    "loader.log_level must be": ("loader/log_level", "debug"),
    "sgx.debug must be false": ("sgx/debug", True),
    'sgx.file_check_policy must be "strict"': ("sgx/file_check_policy", "allow_all_but_log"),
    'sgx.remote_attestation must be "dcap"': ("sgx/remote_attestation", "none"),
    "sgx.insecure__rpc_thread_num must not": ("sgx/insecure__rpc_thread_num", 4),
    "sgx.allowed_files takes": ("sgx/allowed_files", ["file:/models"]),
    "has no hash": ("sgx/trusted_files", ["file:/lib/"]),
    "fs.insecure__keys must not": ("fs/insecure__keys", {"default": "00" * 16}),
    "fs.root.type must be": ("fs/root", {"type": "chroot", "uri": "file:/"}),
    "nothing may be mounted at": ("fs/mounts", [{"path": "/dev/attestation/x", "uri": "file:a"}]),
    "sys.experimental__enable_flock must not": ("sys/experimental__enable_flock", True),
    "sys.debug__mock_syscalls must not": ("sys/debug__mock_syscalls", []),
    "sys.enable_extra_runtime_domain_names_conf must be false": (
        "sys/enable_extra_runtime_domain_names_conf",
        True,
    ),
    "sys.disallow_subprocesses must be true": ("sys/disallow_subprocesses", False),
}


@pytest.mark.parametrize("rule", RULES)
def test_rules(manifest: Mapping[str, Any], rule: str) -> None:
    """Each way to let the host in is said, alone."""
    broken = list(unsafe_settings(changed(manifest, *RULES[rule])))
    assert any(rule in each for each in broken), broken
    assert len(broken) == 1


def test_broken_template_is_refused(place: Path, tmp_path: Path) -> None:
    """A template that lets the host in is not rendered."""
    text = (TEMPLATES / "keybroker.manifest.toml").read_text()
    path = tmp_path / "keybroker.manifest.toml"
    path.write_text(text.replace("debug = false", "debug = true"))
    python = PythonInstall.inspect(place / "enclaves")
    template = ManifestTemplate.read(path, Role.KEY_BROKER, place / "enclaves")
    files = enclave_files(
        python,
        place / "gramine",
        packages=template.packages,
        exclude=template.exclude,
        native=template.native,
    )
    with pytest.raises(ConfigError, match=r"not for production: sgx\.debug must be false"):
        render(template, EnclaveLoad(), python, files, place / "gramine")


@pytest.mark.parametrize(
    "text", ["", "[build]\n", "[build", "[build]\npackages=1\nexclude=[]\nnative=[]", "a='$x'"]
)
def test_no_template(tmp_path: Path, text: str) -> None:
    """What is no template is an error that names the file."""
    path = tmp_path / "worker.manifest.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"worker\.manifest\.toml is not a manifest template"):
        ManifestTemplate.read(path, Role.WORKER, tmp_path)
    with pytest.raises(ConfigError, match="No such file"):
        ManifestTemplate.read(tmp_path / "none.toml", Role.WORKER, tmp_path)


def test_missing_package(place: Path) -> None:
    """A package on the list that is not installed is named."""
    says = r"package numpy is missing: install requirements/trusted\.txt"
    with pytest.raises(ConfigError, match=says):
        CliRunner().invoke(enclave, build(place, "worker"), catch_exceptions=False)


def test_missing_gramine(place: Path, tmp_path: Path) -> None:
    """Without Gramine there is no manifest."""
    command = build(place, "keybroker", f"--gramine={tmp_path}")
    with pytest.raises(ConfigError, match="runtime/glibc is missing: install Gramine"):
        CliRunner().invoke(enclave, command, catch_exceptions=False)


def test_missing_python(tmp_path: Path) -> None:
    """A folder without Python is named."""
    with pytest.raises(ConfigError, match="bin/python does not run"):
        PythonInstall.inspect(tmp_path)
