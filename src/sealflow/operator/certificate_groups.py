"""Operator: the certificate authority of each group, and previous ones that are still trusted."""

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
    """The authority of a certificate group, and the previous roots that its members trust.

    `previous`: pairs of a cross-certificate and a previous root, newest first. The previous root
    signed the cross-certificate for the authority that succeeded it. A pair is used until its
    cross-certificate expires.
    """

    group: CertificateGroup
    authority: CertificateAuthority
    previous: tuple[tuple[x509.Certificate, x509.Certificate], ...] = ()

    @classmethod
    def create(cls, group: CertificateGroup, deployment: str, now: datetime) -> Self:
        """Create the first authority of a group."""
        return cls(group=group, authority=_authority(group, deployment, now))

    @classmethod
    def from_files(cls, group: CertificateGroup, files: Mapping[str, bytes]) -> Self:
        """Parse the files of a group in a key folder: `ca.key`, `ca.crt` and `former.crt`.

        Raises: ConfigError.
        """
        folder = _folder(group)
        try:
            key, root = files[f"{folder}/ca.key"], files[f"{folder}/ca.crt"]
        except KeyError as error:
            raise ConfigError(
                f"{error.args[0]} is missing: make new keys with `sealflow keys make`"
            ) from error
        previous = files.get(f"{folder}/former.crt", b"")
        certificates = load_certificates(previous) if previous else []
        if len(certificates) % 2:
            raise ConfigError(
                f"{folder}/former.crt is damaged: make new keys with `sealflow keys make`"
            )
        pairs = tuple(zip(certificates[::2], certificates[1::2], strict=True))
        return cls(group=group, authority=CertificateAuthority.from_pem(key, root), previous=pairs)

    def renewed(self, deployment: str, now: datetime, overlap: timedelta) -> Self:
        """Return anchors with a new authority. The old root stays trusted for `overlap`.

        The old authority's private key is not in the result.
        """
        authority = _authority(self.group, deployment, now)
        cross_certificate = self.authority.cross_sign(authority, now + overlap, now)
        pair = (cross_certificate, self.authority.certificate)
        previous = (pair, *self.previous)
        return type(self)(group=self.group, authority=authority, previous=previous)

    def without_expired(self, now: datetime) -> Self:
        """Return anchors without the previous roots whose cross-certificate has expired."""
        previous = tuple(pair for pair in self.previous if pair[0].not_valid_after_utc > now)
        return type(self)(group=self.group, authority=self.authority, previous=previous)

    @property
    def cross_certificates(self) -> list[x509.Certificate]:
        """Cross-certificates, newest first, for clients that have only a previous root."""
        return [certificate for certificate, _ in self.previous]

    @property
    def roots(self) -> list[x509.Certificate]:
        """The root certificates to trust, the current one first."""
        return [self.authority.certificate, *(root for _, root in self.previous)]

    def files(self) -> dict[str, bytes]:
        """Return the files of this group by path in the key folder; `from_files` parses them."""
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
    # Each root has a name of its own, as verifiers look issuers up by name.
    return CertificateAuthority.create(
        f"sealflow {deployment} {group} {secrets.token_hex(4)}", now, java=java
    )


def _folder(group: CertificateGroup) -> str:
    return f"ca/{group}"
