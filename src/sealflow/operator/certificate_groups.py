"""Operator: the authority of each circle, and the ones before it that still count."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from sealflow.errors import ConfigError
from sealflow.operator.certificates import Authority, certificates_pem, key_pem, load_certificates
from sealflow.operator.components import COMPONENTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from cryptography import x509

    from sealflow.operator.components import Circle


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """Whom the members of one circle trust.

    `former`: pairs of a bridge, which is the root after it as an older root vouches for it, and
    that older root; newest first. A pair counts until its bridge ends.
    """

    circle: Circle
    authority: Authority
    former: tuple[tuple[x509.Certificate, x509.Certificate], ...] = ()

    @classmethod
    def create(cls, circle: Circle, deployment: str, now: datetime) -> Self:
        """Draw a first authority."""
        return cls(circle=circle, authority=_authority(circle, deployment, now))

    @classmethod
    def load(cls, circle: Circle, files: Mapping[str, bytes]) -> Self:
        """Read it from a key folder.

        Raises: ConfigError.
        """
        folder = _folder(circle)
        try:
            key, root = files[f"{folder}/ca.key"], files[f"{folder}/ca.crt"]
        except KeyError as error:
            raise ConfigError(f"{error.args[0]} is missing: make all keys anew") from error
        former = files.get(f"{folder}/former.crt", b"")
        certificates = load_certificates(former) if former else []
        if len(certificates) % 2:
            raise ConfigError(f"{folder}/former.crt is damaged: make all keys anew")
        pairs = tuple(zip(certificates[::2], certificates[1::2], strict=True))
        return cls(circle=circle, authority=Authority.load(key, root), former=pairs)

    def renewed(self, deployment: str, now: datetime, overlap: timedelta) -> Self:
        """Draw a new authority; this one's root counts for `overlap` too, its key is gone."""
        authority = _authority(self.circle, deployment, now)
        bridge = self.authority.vouch_for(authority, now + overlap, now)
        pair = (bridge, self.authority.certificate)
        former = (pair, *self.former)
        return type(self)(circle=self.circle, authority=authority, former=former)

    def at(self, now: datetime) -> Self:
        """Leave out what no longer counts."""
        former = tuple(pair for pair in self.former if pair[0].not_valid_after_utc > now)
        return type(self)(circle=self.circle, authority=self.authority, former=former)

    @property
    def bridges(self) -> list[x509.Certificate]:
        """What belongs between a leaf and the roots, for those who know an older root alone."""
        return [bridge for bridge, _ in self.former]

    @property
    def roots(self) -> list[x509.Certificate]:
        """Whom to trust, the current root first."""
        return [self.authority.certificate, *(root for _, root in self.former)]

    def files(self) -> dict[str, bytes]:
        """Write it to a key folder."""
        folder = _folder(self.circle)
        return {
            f"{folder}/ca.key": key_pem(self.authority.key),
            f"{folder}/ca.crt": certificates_pem([self.authority.certificate]),
            f"{folder}/former.crt": certificates_pem(
                [each for pair in self.former for each in pair]
            ),
        }


def _authority(circle: Circle, deployment: str, now: datetime) -> Authority:
    java = any(each.java for each in COMPONENTS if each.circle is circle)
    # No two roots of one circle have the same name, so that no verifier takes one for the other.
    return Authority.create(
        f"sealflow {deployment} {circle} {secrets.token_hex(4)}", now, java=java
    )


def _folder(circle: Circle) -> str:
    return f"ca/{circle}"
