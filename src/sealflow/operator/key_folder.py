"""Operator: the key folder of a cluster: creation, rotation, reading and writing.

Functions take and return the folder's files as bytes by path. Only `read_tree` and `write_tree`
use the disk.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import stat
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

from sealflow.errors import ConfigError, MalformedError
from sealflow.files import read_file, write_draft
from sealflow.operator.broker_users import new_password, users_acl
from sealflow.operator.certificate_groups import TrustAnchors
from sealflow.operator.certificates import certificates_pem, key_pem, keystore, truststore
from sealflow.operator.components import COMPONENTS, CertificateGroup, ClusterNames
from sealflow.operator.secret_manifests import secret_manifests
from sealflow.wire.ids import parse_name
from sealflow.wire.strict_json import parse_object, require_keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta
    from pathlib import Path

    from sealflow.operator.components import Component


_VERSION: Final = 1
_KEYS: Final = ("version", "deployment", "release", "namespace", "hosts", "kubernetes", "passwords")
Files = dict[str, bytes]

INDEX: Final = "keys.json"
USERS_ACL: Final = "password/broker/users.acl"
_MAX_FILES: Final = 200
_MAX_FILE_BYTES: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFolderIndex:
    """The content of `keys.json`.

    `kubernetes`: whether the folder also holds manifests of Kubernetes Secrets. `previous`: digests
    of replaced passwords, as (component, SHA-256 in hex, Unix time in seconds until which the
    broker accepts the password).
    """

    cluster: ClusterNames
    kubernetes: bool = False
    previous: tuple[tuple[str, str, int], ...] = ()

    def to_bytes(self) -> bytes:
        """Return the index as indented JSON, with a line break at the end."""
        cluster = self.cluster
        value = {
            "version": _VERSION,
            "deployment": cluster.deployment,
            "release": cluster.release,
            "namespace": cluster.namespace,
            "hosts": [list(each) for each in cluster.hosts],
            "kubernetes": self.kubernetes,
            "passwords": [list(each) for each in self.previous],
        }
        return json.dumps(value, indent=1).encode() + b"\n"

    @classmethod
    def from_bytes(cls, text: bytes) -> Self:
        """Parse the content of `keys.json`.

        Raises: ConfigError.
        """
        try:
            value = parse_object(text, "keys.json")
            require_keys(value, _KEYS, "keys.json")
            if value["version"] != _VERSION:
                raise MalformedError(f"version is not {_VERSION}")  # noqa: TRY301
            cluster = ClusterNames(
                deployment=parse_name(value["deployment"]),
                release=str(value["release"]),
                namespace=str(value["namespace"]),
                hosts=tuple((str(name), str(host)) for name, host in value["hosts"]),  # type: ignore[attr-defined]  # a TypeError otherwise
            )
            previous = tuple(
                (str(name), str(digest), int(until))
                for name, digest, until in value["passwords"]  # type: ignore[attr-defined]  # a TypeError otherwise
            )
        except (MalformedError, ValueError, TypeError) as error:
            raise ConfigError(f"keys.json is damaged: {error}") from error
        return cls(cluster=cluster, kubernetes=value["kubernetes"] is True, previous=previous)


def create_credentials(cluster: ClusterNames, now: datetime, *, kubernetes: bool) -> Files:
    """Create every key, certificate and password of a cluster. Return the files by path.

    `kubernetes`: also return the manifests of Kubernetes Secrets.
    """
    files: Files = {}
    for group in CertificateGroup:
        files |= TrustAnchors.create(group, cluster.deployment, now).files()
    for component in COMPONENTS:
        if component.broker_user:
            files[_broker_password(component)] = new_password().encode()
    return _with_derived_files(
        files, KeyFolderIndex(cluster=cluster, kubernetes=kubernetes), COMPONENTS, now
    )


def rotate_certificates(
    files: Mapping[str, bytes], now: datetime, components: Sequence[Component] = COMPONENTS
) -> Files:
    """Return the files with new keys and certificates of `components`, by the same authorities.

    Raises: ConfigError.
    """
    return _with_derived_files(dict(files), _index(files), components, now)


def rotate_authorities(files: Mapping[str, bytes], now: datetime, overlap: timedelta) -> Files:
    """Return the files with new authorities, and new keys and certificates of all components.

    For `overlap`, the old roots stay trusted, and certificate chains include a cross-certificate:
    the new root, signed by the old one. Old and new certificates are therefore valid for all
    processes, in whatever order these restart.

    Raises: ConfigError.
    """
    renewed, index = dict(files), _index(files)
    for group in CertificateGroup:
        anchor = TrustAnchors.from_files(group, files)
        renewed |= anchor.renewed(index.cluster.deployment, now, overlap).files()
    return _with_derived_files(renewed, index, COMPONENTS, now)


def rotate_passwords(
    files: Mapping[str, bytes],
    now: datetime,
    overlap: timedelta,
    components: Sequence[Component] = COMPONENTS,
) -> Files:
    """Return the files with new broker passwords; the broker accepts old ones for `overlap`.

    `components`: those without a broker user are ignored.

    Raises: ConfigError.
    """
    renewed, index = dict(files), _index(files)
    previous, until = list(index.previous), int((now + overlap).timestamp())
    for component in components:
        if component.broker_user:
            path = _broker_password(component)
            previous.append((component.name, _digest(files, path), until))
            renewed[path] = new_password().encode()
    return _with_derived_files(renewed, replace(index, previous=tuple(previous)), (), now)


def add_secret_manifests(files: Mapping[str, bytes]) -> Files:
    """Return the files with manifests of Kubernetes Secrets. Later rotations update these, too.

    Raises: ConfigError.
    """
    index = replace(_index(files), kubernetes=True)
    return {**files, INDEX: index.to_bytes(), **secret_manifests(index.cluster, files)}


def _with_derived_files(
    files: Files, index: KeyFolderIndex, components: Sequence[Component], now: datetime
) -> Files:
    """Add new keys and certificates of `components`, and all files derived from other files.

    Derived files are roots, truststores, the broker's users, the index and the manifests.
    """
    anchors = {
        group: TrustAnchors.from_files(group, files).without_expired(now)
        for group in CertificateGroup
    }
    for anchor in anchors.values():
        files |= anchor.files()
    for component in COMPONENTS:
        anchor = anchors[component.group]
        if component in components:
            files |= _issued(component, anchor, index.cluster, now)
        files[f"keys/{component.name}/ca.crt"] = certificates_pem(anchor.roots)
        if component.java:
            password = _file_content(files, _store_password(component)).decode()
            files[f"keys/{component.name}/truststore.p12"] = truststore(anchor.roots, password)
    previous = tuple(each for each in index.previous if each[2] > now.timestamp())
    index = replace(index, previous=previous)
    digests = {
        each.name: [
            _digest(files, _broker_password(each)),
            *(digest for name, digest, _ in previous if name == each.name),
        ]
        for each in COMPONENTS
        if each.broker_user
    }
    files[USERS_ACL] = users_acl(index.cluster.deployment, digests)
    files[INDEX] = index.to_bytes()
    if index.kubernetes:
        files |= secret_manifests(index.cluster, files)
    return files


def _issued(
    component: Component, anchor: TrustAnchors, cluster: ClusterNames, now: datetime
) -> Files:
    leaf = anchor.authority.issue(
        component.name,
        cluster.names_of(component),
        now,
        serves=component.serves,
        calls=component.calls,
        java=component.java,
    )
    folder = f"keys/{component.name}"
    files = {
        f"{folder}/tls.key": key_pem(leaf.key),
        f"{folder}/tls.crt": certificates_pem([leaf.certificate, *anchor.cross_certificates]),
    }
    if component.java:
        password = new_password()
        files[_store_password(component)] = password.encode()
        above = anchor.cross_certificates or [anchor.authority.certificate]
        files[f"{folder}/keystore.p12"] = keystore(leaf, above, password)
    return files


def _index(files: Mapping[str, bytes]) -> KeyFolderIndex:
    return KeyFolderIndex.from_bytes(_file_content(files, INDEX))


def _broker_password(component: Component) -> str:
    return f"password/{component.name}/broker"


def _store_password(component: Component) -> str:
    return f"password/{component.name}/keystore"


def _digest(files: Mapping[str, bytes], path: str) -> str:
    return hashlib.sha256(_file_content(files, path)).hexdigest()


def _file_content(files: Mapping[str, bytes], path: str) -> bytes:
    try:
        return files[path]
    except KeyError as error:
        raise ConfigError(f"{path} is missing: make new keys with `sealflow keys make`") from error


def read_tree(folder: Path) -> dict[str, bytes]:
    """Return all files of a key folder by path in it.

    Raises: ConfigError when the folder is missing, open to other users (any of the mode's bits
        0077 is set), holds more than `_MAX_FILES` files or one over `_MAX_FILE_BYTES`.
    """
    try:
        if stat.S_IMODE(folder.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(f"{folder} is open to other users; run: chmod 700 {folder}")
        paths = [path for path in folder.rglob("*") if not path.is_dir()]
        if len(paths) > _MAX_FILES:
            raise ConfigError(
                f"{folder} holds more than {_MAX_FILES} files, so it is not a key folder"
            )
        return {path.relative_to(folder).as_posix(): _read(path) for path in paths}
    except FileNotFoundError as error:
        raise ConfigError(
            f"there are no keys in {folder}: make them with `sealflow keys make {folder}`"
        ) from error
    except OSError as error:
        raise ConfigError(f"{folder}: cannot read the keys: {error.strerror}") from error


def write_tree(folder: Path, files: Mapping[str, bytes], *, replace: bool) -> None:
    """Write a key folder: all files or none.

    The files are written to a new folder beside it, which is then renamed. If `replace` is false
    and the folder exists, nothing is written, so that no key is overwritten by accident.

    Raises: ConfigError.
    """
    draft = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}")
    replaced = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}")
    try:
        if not replace and folder.exists():
            raise ConfigError(
                f"{folder} exists: rotate its keys with `sealflow keys rotate`, "
                "or name another folder"
            )
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.mkdir(mode=0o700)
        for name, content in files.items():
            _write(draft, draft / name, content)
        if folder.exists():
            folder.rename(replaced)
            try:
                draft.rename(folder)
            except OSError:
                replaced.rename(folder)
                raise
            shutil.rmtree(replaced)
        else:
            draft.rename(folder)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot write the keys: {error.strerror}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write(top: Path, path: Path, content: bytes) -> None:
    for parent in reversed(path.relative_to(top).parents[:-1]):
        (top / parent).mkdir(mode=0o700, exist_ok=True)
    write_draft(path, content)


def _read(path: Path) -> bytes:
    try:
        return read_file(path, _MAX_FILE_BYTES)
    except ConfigError as error:
        raise ConfigError(f"{error}, so it is not a key") from error
