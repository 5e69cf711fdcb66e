"""Operator: the folder of keys: make it, rotate what is in it, write it as a whole.

Files come in and go out as bytes by path; `read_tree` and `write_tree` alone touch the disk.
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
    """What `keys.json` holds.

    `kubernetes`: whether manifests lie beside the keys. `previous`: digests of passwords that were
    replaced, as (component, SHA-256 in hex, Unix time until which they count).
    """

    site: ClusterNames
    kubernetes: bool = False
    previous: tuple[tuple[str, str, int], ...] = ()

    def to_bytes(self) -> bytes:
        """Write it as JSON for people."""
        site = self.site
        value = {
            "version": _VERSION,
            "deployment": site.deployment,
            "release": site.release,
            "namespace": site.namespace,
            "hosts": [list(each) for each in site.hosts],
            "kubernetes": self.kubernetes,
            "passwords": [list(each) for each in self.previous],
        }
        return json.dumps(value, indent=1).encode() + b"\n"

    @classmethod
    def from_bytes(cls, text: bytes) -> Self:
        """Read what `to_bytes` wrote.

        Raises: ConfigError.
        """
        try:
            value = parse_object(text, "keys.json")
            require_keys(value, _KEYS, "keys.json")
            if value["version"] != _VERSION:
                raise MalformedError("keys.json: another version")  # noqa: TRY301
            site = ClusterNames(
                deployment=parse_name(value["deployment"]),
                release=str(value["release"]),
                namespace=str(value["namespace"]),
                hosts=tuple((str(name), str(host)) for name, host in value["hosts"]),  # type: ignore[attr-defined]  # any object may come
            )
            former = tuple(
                (str(name), str(digest), int(until))
                for name, digest, until in value["passwords"]  # type: ignore[attr-defined]  # any object may come
            )
        except (MalformedError, ValueError, TypeError) as error:
            raise ConfigError(f"keys.json is damaged: {error}") from error
        return cls(site=site, kubernetes=value["kubernetes"] is True, previous=former)


def make(site: ClusterNames, now: datetime, *, kubernetes: bool) -> Files:
    """Draw every key, certificate and password of a cluster; gives files by path."""
    files: Files = {}
    for group in CertificateGroup:
        files |= TrustAnchors.create(group, site.deployment, now).files()
    for component in COMPONENTS:
        if component.broker_user:
            files[_broker_password(component)] = new_password().encode()
    return _with_derived_files(
        files, KeyFolderIndex(site=site, kubernetes=kubernetes), COMPONENTS, now
    )


def rotate_certificates(
    files: Mapping[str, bytes], now: datetime, components: Sequence[Component] = COMPONENTS
) -> Files:
    """Return components new keys, with certificates of the same authorities.

    Raises: ConfigError.
    """
    return _with_derived_files(dict(files), _ledger(files), components, now)


def rotate_authorities(files: Mapping[str, bytes], now: datetime, overlap: timedelta) -> Files:
    """Return every circle a new authority, and every component a certificate of it.

    For `overlap`, the old root is trusted too, and chains hold the new root as the old one vouches
    for it: old and new certificates pass everywhere, in whatever order processes restart.

    Raises: ConfigError.
    """
    renewed, ledger = dict(files), _ledger(files)
    for group in CertificateGroup:
        anchor = TrustAnchors.from_files(group, files)
        renewed |= anchor.renewed(ledger.site.deployment, now, overlap).files()
    return _with_derived_files(renewed, ledger, COMPONENTS, now)


def rotate_passwords(
    files: Mapping[str, bytes],
    now: datetime,
    overlap: timedelta,
    components: Sequence[Component] = COMPONENTS,
) -> Files:
    """Return broker users new passwords; the old ones count for `overlap` too.

    Raises: ConfigError.
    """
    renewed, ledger = dict(files), _ledger(files)
    former, until = list(ledger.previous), int((now + overlap).timestamp())
    for component in components:
        if component.broker_user:
            path = _broker_password(component)
            former.append((component.name, _digest(files, path), until))
            renewed[path] = new_password().encode()
    return _with_derived_files(renewed, replace(ledger, previous=tuple(former)), (), now)


def with_manifests(files: Mapping[str, bytes]) -> Files:
    """Add Kubernetes manifests, to be kept up to date from now on.

    Raises: ConfigError.
    """
    ledger = replace(_ledger(files), kubernetes=True)
    return {**files, INDEX: ledger.to_bytes(), **secret_manifests(ledger.site, files)}


def _with_derived_files(
    files: Files, ledger: KeyFolderIndex, components: Sequence[Component], now: datetime
) -> Files:
    """Issue certificates to `components`; write anew whatever follows from keys and passwords."""
    anchors = {group: TrustAnchors.from_files(group, files).at(now) for group in CertificateGroup}
    for anchor in anchors.values():
        files |= anchor.files()
    for component in COMPONENTS:
        anchor = anchors[component.group]
        if component in components:
            files |= _issued(component, anchor, ledger.site, now)
        files[f"keys/{component.name}/ca.crt"] = certificates_pem(anchor.roots)
        if component.java:
            password = _password_of(files, _store_password(component)).decode()
            files[f"keys/{component.name}/truststore.p12"] = truststore(anchor.roots, password)
    former = tuple(each for each in ledger.previous if each[2] > now.timestamp())
    ledger = replace(ledger, previous=former)
    digests = {
        each.name: [
            _digest(files, _broker_password(each)),
            *(digest for name, digest, _ in former if name == each.name),
        ]
        for each in COMPONENTS
        if each.broker_user
    }
    files[USERS_ACL] = users_acl(ledger.site.deployment, digests)
    files[INDEX] = ledger.to_bytes()
    if ledger.kubernetes:
        files |= secret_manifests(ledger.site, files)
    return files


def _issued(component: Component, anchor: TrustAnchors, site: ClusterNames, now: datetime) -> Files:
    leaf = anchor.authority.issue(
        component.name,
        site.names_of(component),
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


def _ledger(files: Mapping[str, bytes]) -> KeyFolderIndex:
    return KeyFolderIndex.from_bytes(_password_of(files, INDEX))


def _broker_password(component: Component) -> str:
    return f"password/{component.name}/broker"


def _store_password(component: Component) -> str:
    return f"password/{component.name}/keystore"


def _digest(files: Mapping[str, bytes], path: str) -> str:
    return hashlib.sha256(_password_of(files, path)).hexdigest()


def _password_of(files: Mapping[str, bytes], path: str) -> bytes:
    try:
        return files[path]
    except KeyError as error:
        raise ConfigError(f"{path} is missing: make all keys anew") from error


def read_tree(folder: Path) -> dict[str, bytes]:
    """Read all files of a folder, by path within it.

    Raises: ConfigError; also when others than its owner may look into it.
    """
    try:
        if stat.S_IMODE(folder.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(f"{folder} is open to other users; run: chmod 700 {folder}")
        paths = [path for path in folder.rglob("*") if not path.is_dir()]
        if len(paths) > _MAX_FILES:
            raise ConfigError(
                f"{folder} holds more than {_MAX_FILES} files: it is not a key folder"
            )
        return {path.relative_to(folder).as_posix(): _read(path) for path in paths}
    except FileNotFoundError as error:
        raise ConfigError(
            f"no keys in {folder}: make them with `sealflow keys make {folder}`"
        ) from error
    except OSError as error:
        raise ConfigError(f"{folder}: cannot read the keys: {error.strerror}") from error


def write_tree(folder: Path, files: Mapping[str, bytes], *, replace: bool) -> None:
    """Write all files to a folder beside it, then put that in its place: all of them or none.

    `replace`: whether a folder may be there already; keys are never overwritten by accident.

    Raises: ConfigError.
    """
    draft = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}")
    former = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}")
    try:
        if not replace and folder.exists():
            raise ConfigError(
                f"{folder} exists: rotate what is in it with `sealflow keys rotate {folder}`"
            )
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.mkdir(mode=0o700)
        for name, content in files.items():
            _write(draft, draft / name, content)
        if folder.exists():
            folder.rename(former)
            try:
                draft.rename(folder)
            except OSError:
                former.rename(folder)
                raise
            shutil.rmtree(former)
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
        raise ConfigError(f"{error}: it is not a key") from error
