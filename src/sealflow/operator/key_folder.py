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
from sealflow.files import file_errors, read_file, write_draft
from sealflow.operator.broker_users import new_password, users_acl
from sealflow.operator.certificate_groups import TrustAnchors
from sealflow.operator.certificates import certificates_pem, key_pem, keystore, truststore
from sealflow.operator.components import COMPONENTS, CertificateGroup, ClusterNames
from sealflow.operator.secret_manifests import secret_manifests
from sealflow.wire.fields import Fields
from sealflow.wire.ids import parse_name

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
_MAX_ROWS: Final = 10_000
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
            fields = Fields.from_bytes(text, INDEX, _KEYS)
            fields.integer("version", least=_VERSION, most=_VERSION)
            return cls(
                cluster=ClusterNames(
                    deployment=fields.read("deployment", parse_name),
                    release=fields.text("release"),
                    namespace=fields.text("namespace"),
                    hosts=fields.list_of("hosts", _host, _MAX_ROWS),
                ),
                kubernetes=fields.flag("kubernetes"),
                previous=fields.list_of("passwords", _previous_password, _MAX_ROWS),
            )
        except MalformedError as error:
            raise ConfigError(f"{INDEX} is damaged: {error}") from error


def _host(row: object) -> tuple[str, str]:
    match row:
        case [str(component), str(host)]:
            return component, host
    raise MalformedError("not a pair of component and host name")


def _previous_password(row: object) -> tuple[str, str, int]:
    match row:
        case [str(component), str(digest), int(until_s)]:
            return component, digest, until_s
    raise MalformedError("not a triple of component, SHA-256 and Unix time")


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
    missing = f"there are no keys in {folder}: make them with `sealflow keys make {folder}`"
    with file_errors(f"{folder}: cannot read the keys", missing=missing):
        if stat.S_IMODE(folder.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(f"{folder} is open to other users; run: chmod 700 {folder}")
        paths = [path for path in folder.rglob("*") if not path.is_dir()]
        if len(paths) > _MAX_FILES:
            raise ConfigError(
                f"{folder} holds more than {_MAX_FILES} files, so it is not a key folder"
            )
        return {path.relative_to(folder).as_posix(): _read(path) for path in paths}


def write_tree(folder: Path, files: Mapping[str, bytes], *, replace: bool) -> None:
    """Write a key folder: all files or none.

    The files are written to a new folder beside it, which is then renamed. If `replace` is false
    and the folder exists, nothing is written, so that no key is overwritten by accident.

    Raises: ConfigError.
    """
    if not replace and folder.exists():
        raise ConfigError(
            f"{folder} exists: rotate its keys with `sealflow keys rotate`, or name another folder"
        )
    draft = _hidden_beside(folder)
    try:
        with file_errors(f"{folder}: cannot write the keys"):
            folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft.mkdir(mode=0o700)
            for name, content in files.items():
                _write(draft, draft / name, content)
            _put_in_place(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _put_in_place(draft: Path, folder: Path) -> None:
    if not folder.exists():
        draft.rename(folder)
        return
    replaced = _hidden_beside(folder)
    folder.rename(replaced)
    try:
        draft.rename(folder)
    except OSError:
        replaced.rename(folder)
        raise
    shutil.rmtree(replaced)


def _hidden_beside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.{secrets.token_hex(8)}")


def _write(top: Path, path: Path, content: bytes) -> None:
    for parent in reversed(path.relative_to(top).parents[:-1]):
        (top / parent).mkdir(mode=0o700, exist_ok=True)
    write_draft(path, content)


def _read(path: Path) -> bytes:
    try:
        return read_file(path, _MAX_FILE_BYTES)
    except ConfigError as error:
        raise ConfigError(f"{error}, so it is not a key") from error
