"""Operator: all keys of a cluster's host processes, made and rotated. Guide: docs/guide/keys.md.

Pure but for the system's random source: files come in and go out as bytes by path.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sealflow.errors import ConfigError
from sealflow.operator.authority import certificates_pem, key_pem
from sealflow.operator.broker_users import new_password, users_acl
from sealflow.operator.circles import Anchor
from sealflow.operator.components import COMPONENTS, Circle
from sealflow.operator.keystores import keystore, truststore
from sealflow.operator.ledger import Ledger
from sealflow.operator.manifests import secret_manifests

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from sealflow.operator.components import Component, Site

Files = dict[str, bytes]

LEDGER: Final = "keys.json"
USERS_ACL: Final = "password/broker/users.acl"


def make(site: Site, now: datetime, *, kubernetes: bool) -> Files:
    """Draw every key, certificate and password of a cluster; gives files by path."""
    files: Files = {}
    for circle in Circle:
        files |= Anchor.create(circle, site.deployment, now).files()
    for component in COMPONENTS:
        if component.broker_user:
            files[_broker_password(component)] = new_password().encode()
    return _finished(files, Ledger(site=site, kubernetes=kubernetes), COMPONENTS, now)


def rotate_certificates(
    files: Mapping[str, bytes], now: datetime, components: Sequence[Component] = COMPONENTS
) -> Files:
    """Give components new keys, with certificates of the same authorities.

    Raises: ConfigError.
    """
    return _finished(dict(files), _ledger(files), components, now)


def rotate_authorities(files: Mapping[str, bytes], now: datetime, overlap: timedelta) -> Files:
    """Give every circle a new authority, and every component a certificate of it.

    For `overlap`, the old root is trusted too, and chains hold the new root as the old one vouches
    for it: old and new certificates pass everywhere, in whatever order processes restart.

    Raises: ConfigError.
    """
    renewed, ledger = dict(files), _ledger(files)
    for circle in Circle:
        anchor = Anchor.load(circle, files)
        renewed |= anchor.renewed(ledger.site.deployment, now, overlap).files()
    return _finished(renewed, ledger, COMPONENTS, now)


def rotate_passwords(
    files: Mapping[str, bytes],
    now: datetime,
    overlap: timedelta,
    components: Sequence[Component] = COMPONENTS,
) -> Files:
    """Give broker users new passwords; the old ones count for `overlap` too.

    Raises: ConfigError.
    """
    renewed, ledger = dict(files), _ledger(files)
    former, until = list(ledger.former), int((now + overlap).timestamp())
    for component in components:
        if component.broker_user:
            path = _broker_password(component)
            former.append((component.name, _digest(files, path), until))
            renewed[path] = new_password().encode()
    return _finished(renewed, replace(ledger, former=tuple(former)), (), now)


def with_manifests(files: Mapping[str, bytes]) -> Files:
    """Add Kubernetes manifests, to be kept up to date from now on.

    Raises: ConfigError.
    """
    ledger = replace(_ledger(files), kubernetes=True)
    return {**files, LEDGER: ledger.encode(), **secret_manifests(ledger.site, files)}


def _finished(
    files: Files, ledger: Ledger, components: Sequence[Component], now: datetime
) -> Files:
    """Issue certificates to `components`; write anew whatever follows from keys and passwords."""
    anchors = {circle: Anchor.load(circle, files).at(now) for circle in Circle}
    for anchor in anchors.values():
        files |= anchor.files()
    for component in COMPONENTS:
        anchor = anchors[component.circle]
        if component in components:
            files |= _issued(component, anchor, ledger.site, now)
        files[f"keys/{component.name}/ca.crt"] = certificates_pem(anchor.roots)
        if component.java:
            password = _read(files, _store_password(component)).decode()
            files[f"keys/{component.name}/truststore.p12"] = truststore(anchor.roots, password)
    former = tuple(each for each in ledger.former if each[2] > now.timestamp())
    ledger = replace(ledger, former=former)
    digests = {
        each.name: [
            _digest(files, _broker_password(each)),
            *(digest for name, digest, _ in former if name == each.name),
        ]
        for each in COMPONENTS
        if each.broker_user
    }
    files[USERS_ACL] = users_acl(ledger.site.deployment, digests)
    files[LEDGER] = ledger.encode()
    if ledger.kubernetes:
        files |= secret_manifests(ledger.site, files)
    return files


def _issued(component: Component, anchor: Anchor, site: Site, now: datetime) -> Files:
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
        f"{folder}/tls.crt": certificates_pem([leaf.certificate, *anchor.bridges]),
    }
    if component.java:
        password = new_password()
        files[_store_password(component)] = password.encode()
        above = anchor.bridges or [anchor.authority.certificate]
        files[f"{folder}/keystore.p12"] = keystore(leaf, above, password)
    return files


def _ledger(files: Mapping[str, bytes]) -> Ledger:
    return Ledger.parse(_read(files, LEDGER))


def _broker_password(component: Component) -> str:
    return f"password/{component.name}/broker"


def _store_password(component: Component) -> str:
    return f"password/{component.name}/keystore"


def _digest(files: Mapping[str, bytes], path: str) -> str:
    return hashlib.sha256(_read(files, path)).hexdigest()


def _read(files: Mapping[str, bytes], path: str) -> bytes:
    try:
        return files[path]
    except KeyError as error:
        raise ConfigError(f"{path} is missing: make all keys anew") from error
