"""Operator: `keys.json`, which says what a key folder is for and what still counts. No secrets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final, Self

from sealflow.errors import ConfigError, MalformedError
from sealflow.operator.components import Site
from sealflow.wire.ids import parse_name
from sealflow.wire.strict_json import parse_object, require_keys

_VERSION: Final = 1
_KEYS: Final = ("version", "deployment", "release", "namespace", "hosts", "kubernetes", "passwords")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What `keys.json` holds.

    `kubernetes`: whether manifests lie beside the keys. `former`: digests of passwords that were
    replaced, as (component, SHA-256 in hex, Unix time until which they count).
    """

    site: Site
    kubernetes: bool = False
    former: tuple[tuple[str, str, int], ...] = ()

    def encode(self) -> bytes:
        """Write it as JSON for people."""
        site = self.site
        value = {
            "version": _VERSION,
            "deployment": site.deployment,
            "release": site.release,
            "namespace": site.namespace,
            "hosts": [list(each) for each in site.hosts],
            "kubernetes": self.kubernetes,
            "passwords": [list(each) for each in self.former],
        }
        return json.dumps(value, indent=1).encode() + b"\n"

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read what `encode` wrote.

        Raises: ConfigError.
        """
        try:
            value = parse_object(text, "keys.json")
            require_keys(value, _KEYS, "keys.json")
            if value["version"] != _VERSION:
                raise MalformedError("keys.json: another version")  # noqa: TRY301
            site = Site(
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
        return cls(site=site, kubernetes=value["kubernetes"] is True, former=former)
