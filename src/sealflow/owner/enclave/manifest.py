"""Owner: renders an enclave's manifest from its template, and refuses unsafe settings in it.

The template is a Gramine manifest in TOML, with `${enclaves}` for the folder of the enclaves. Its
table `build` is for this module and does not reach the manifest.
"""

from __future__ import annotations

import json
import re
import string
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import tomli_w

from sealflow.errors import ConfigError
from sealflow.files import file_errors, file_sha256
from sealflow.owner.enclave.contents import LIBOS, RUNTIME
from sealflow.owner.enclave.sizing import EnclaveLoad, enclave_mib, max_threads

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from sealflow.attest.evidence import Role
    from sealflow.owner.enclave.contents import PythonInstall

_WEAKENING: Final = ("insecure__", "experimental__", "debug__")
_FROM_THE_HOST: Final = ("allowed_files", "argv_src_file", "env_src_file", "passthrough")
_FIXED: Final[Mapping[str, tuple[object, ...]]] = {
    "fs.root.type": ("tmpfs",),
    "loader.log_level": ("error", "none"),
    "sgx.debug": (False,),
    "sgx.file_check_policy": ("strict",),
    "sgx.remote_attestation": ("dcap",),
    "sys.disallow_subprocesses": (True,),
    "sys.enable_extra_runtime_domain_names_conf": (False,),
}
_ATTESTATION: Final = "/dev/attestation"
_HASH: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestTemplate:
    """A manifest without its files, sizes and mounts.

    `packages`: entries of site-packages, with wildcards. `exclude`: prefixes, with wildcards, of
    paths in site-packages that stay out of the enclave. `native`: shared libraries that a package
    opens by name at run time.
    """

    role: Role
    manifest: Mapping[str, Any]
    packages: tuple[str, ...]
    exclude: tuple[str, ...]
    native: tuple[str, ...]

    @classmethod
    def read(cls, path: Path, role: Role, enclaves: Path) -> ManifestTemplate:
        """Read a template. `enclaves`: the folder where the enclaves will be at run time.

        Raises: ConfigError that names the file.
        """
        with file_errors(f"{path}"):
            content = path.read_bytes()
        try:
            text = string.Template(content.decode()).substitute(enclaves=enclaves)
            manifest = tomllib.loads(text)
            build = manifest.pop("build")
            lists = {
                name: tuple(map(str, build[name])) for name in ("packages", "exclude", "native")
            }
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path} is not a manifest template: {error}") from error
        return cls(role=role, manifest=manifest, **lists)


def render(
    template: ManifestTemplate,
    load: EnclaveLoad,
    python: PythonInstall,
    files: Mapping[Path, str],
    gramine: Path,
) -> dict[str, Any]:
    """Return the template's manifest with sizes, mounts, and the hash of every file.

    `gramine`: the folder where Gramine is installed.

    Raises: ConfigError when `unsafe_settings` finds something in it.
    """
    folders = {path.parent for path in files if not _is_below(path, python, gramine)}
    libraries = sorted(folders - {python.base.parent})
    manifest = {name: dict(table) for name, table in template.manifest.items()}
    mounts = [
        # First, as a mount hides earlier ones below its path.
        {"path": "/tmp", "type": "tmpfs"},  # noqa: S108 - inside the enclave
        {"path": "/lib", "uri": f"file:{gramine / RUNTIME}"},
        *(
            {"path": str(each), "uri": f"file:{each}"}
            for each in (*libraries, python.stdlib, python.base, python.prefix)
        ),
    ]
    manifest["fs"] = {**manifest.get("fs", {}), "mounts": mounts}
    search = ":".join(("/lib", *map(str, libraries)))
    manifest["loader"]["env"] = {**manifest["loader"].get("env", {}), "LD_LIBRARY_PATH": search}
    libos = gramine / LIBOS
    with file_errors(f"{libos}"):
        manifest["loader"]["entrypoint"] = {"uri": f"file:{libos}", "sha256": file_sha256(libos)}
    manifest["sgx"] |= {
        "enclave_size": f"{enclave_mib(template.role, load)}M",
        "max_threads": max_threads(template.role, load),
        "trusted_files": [
            {"uri": f"file:{path}", "sha256": digest} for path, digest in files.items()
        ],
    }
    require_safe(manifest, template.role)
    return manifest


def manifest_text(manifest: Mapping[str, Any]) -> str:
    """Return a manifest as TOML. Equal manifests have equal texts: all names are sorted.

    `gramine-sgx-sign` writes the manifest that is measured from this one, in the same order.
    """
    return tomli_w.dumps(_sorted(manifest))


def _sorted(table: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _sorted(value) if isinstance(value, dict) else value
        for name, value in sorted(table.items())
    }


def require_safe(manifest: Mapping[str, Any], what: str) -> None:
    """Check that a manifest has no unsafe settings. `what` names the enclave in the message.

    Raises: ConfigError that lists all unsafe settings.
    """
    unsafe = list(unsafe_settings(manifest))
    if unsafe:
        raise ConfigError(f"the manifest of {what} is not for production: {'; '.join(unsafe)}")


def unsafe_settings(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield a message for each setting by which the host could change or read the enclave."""
    found = dict(_flat(manifest))
    for name in found:
        if name.rpartition(".")[2].startswith(_WEAKENING):
            yield f"{name} must not be set"
        if name.rpartition(".")[2] in _FROM_THE_HOST:
            yield f"{name} takes input from the host that is not measured"
    if not found.get("loader.argv"):
        yield "loader.argv must be fixed"
    for name, values in _FIXED.items():
        if found.get(name) not in values:
            yield f"{name} must be {json.dumps(values[0])}"
    yield from _unsafe_files(found)


def _unsafe_files(found: Mapping[str, Any]) -> Iterator[str]:
    for mount in found.get("fs.mounts", ()):
        if mount["path"].startswith(_ATTESTATION):
            yield f"nothing may be mounted at {_ATTESTATION}"
    for file in found.get("sgx.trusted_files", ()):
        if not isinstance(file, dict) or not _HASH.fullmatch(str(file.get("sha256"))):
            yield f"sgx.trusted_files: {file} has no hash"


def _flat(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield above + name, value
            yield from _flat(value, f"{above}{name}.")
        else:
            yield above + name, value


def _is_below(path: Path, python: PythonInstall, gramine: Path) -> bool:
    return any(path.is_relative_to(each) for each in (python.stdlib, python.prefix, gramine))
