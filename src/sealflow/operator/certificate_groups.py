"""Operator: the authority of each circle, and the ones before it that still count."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from sealflow.errors import ConfigError
from sealflow.operator.certificates import (
    CertificateAuthority,
    certificates_pem,
    key_pem,
    load_certificates,
)
from sealflow.operator.components import COMPONENTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from cryptography import x509

    from sealflow.operator.components import CertificateGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustAnchors:
    """Whom the members of one circle trust.

    `previous`: pairs of a cross-certificate, which is the root after it as an older root signs it,
    and that older root; newest first. A pair counts until its cross-certificate ends.
    """

    group: CertificateGroup
    authority: CertificateAuthority
    previous: tuple[tuple[x509.Certificate, x509.Certificate], ...] = ()

    @classmethod
    def create(cls, group: CertificateGroup, deployment: str, now: datetime) -> Self:
        """Draw a first authority."""
        return cls(group=group, authority=_authority(group, deployment, now))

    @classmethod
    def from_files(cls, group: CertificateGroup, files: Mapping[str, bytes]) -> Self:
        """Read it from a key folder.

        Raises: ConfigError.
        """
        folder = _folder(group)
        try:
            key, root = files[f"{folder}/ca.key"], files[f"{folder}/ca.crt"]
        except KeyError as error:
            raise ConfigError(f"{error.args[0]} is missing: make all keys anew") from error
        former = files.get(f"{folder}/former.crt", b"")
        certificates = load_certificates(former) if former else []
        if len(certificates) % 2:
            raise ConfigError(f"{folder}/former.crt is damaged: make all keys anew")
        pairs = tuple(zip(certificates[::2], certificates[1::2], strict=True))
        return cls(group=group, authority=CertificateAuthority.from_pem(key, root), previous=pairs)

    def renewed(self, deployment: str, now: datetime, overlap: timedelta) -> Self:
        """Draw a new authority; this one's root counts for `overlap` too, its key is gone."""
        authority = _authority(self.group, deployment, now)
        cross_certificate = self.authority.cross_sign(authority, now + overlap, now)
        pair = (cross_certificate, self.authority.certificate)
        former = (pair, *self.previous)
        return type(self)(group=self.group, authority=authority, previous=former)

    def at(self, now: datetime) -> Self:
        """Leave out what no longer counts."""
        former = tuple(pair for pair in self.previous if pair[0].not_valid_after_utc > now)
        return type(self)(group=self.group, authority=self.authority, previous=former)

    @property
    def cross_certificates(self) -> list[x509.Certificate]:
        """Cross-certificates that let clients with only an older root verify a leaf."""
        return [certificate for certificate, _ in self.previous]

    @property
    def roots(self) -> list[x509.Certificate]:
        """Whom to trust, the current root first."""
        return [self.authority.certificate, *(root for _, root in self.previous)]

    def files(self) -> dict[str, bytes]:
        """Write it to a key folder."""
        folder = _folder(self.group)
        return {
            f"{folder}/ca.key": key_pem(self.authority.key),
            f"{folder}/ca.crt": certificates_pem([self.authority.certificate]),
            f"{folder}/former.crt": certificates_pem(
                [each for pair in self.previous for each in pair]
            ),
        }


def _authority(group: CertificateGroup, deployment: str, now: datetime) -> CertificateAuthority:
    java = any(each.java for each in COMPONENTS if each.group is group)
    # No two roots of one group have the same name, so that no verifier takes one for the other.
    return CertificateAuthority.create(
        f"sealflow {deployment} {group} {secrets.token_hex(4)}", now, java=java
    )


def _folder(group: CertificateGroup) -> str:
    return f"ca/{group}"
