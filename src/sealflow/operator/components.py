"""Operator: who takes part in a cluster, and what each of them holds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sealflow.errors import ConfigError

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?")
_HOST: Final = re.compile(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?")


class CertificateGroup(StrEnum):
    """Who trusts whom: one certificate authority each.

    Whoever holds a certificate of `flink` can join the job, and of `rest` can submit code to it. So
    a certificate of one group means nothing in another.
    """

    SERVICE = "service"
    FLINK = "flink"
    REST = "rest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One process that has a key of its own.

    `java`: has RSA keys and PKCS #12 stores, since the JVM's default suites and stores need them.
    `broker_user`: has a user of this name at the broker.
    """

    name: str
    group: CertificateGroup = CertificateGroup.SERVICE
    serves: bool = False
    calls: bool = True
    java: bool = False
    broker_user: bool = False


COMPONENTS: Final = (
    Component(name="gateway", serves=True, broker_user=True),
    Component(name="broker", serves=True, calls=False),
    Component(name="control", broker_user=True),
    Component(name="engine", broker_user=True),
    Component(name="client", broker_user=True),
    Component(name="scaler", broker_user=True),
    Component(name="jobmanager", group=CertificateGroup.FLINK, serves=True, java=True),
    Component(name="taskmanager", group=CertificateGroup.FLINK, serves=True, java=True),
    Component(name="rest", group=CertificateGroup.REST, serves=True, java=True),
    Component(name="submit", group=CertificateGroup.REST, java=True),
)
"""`client` is an owner that speaks to the queue itself; `scaler` reads how long the queue is, for
KEDA; `submit` sends the job to Flink."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterNames:
    """Where a cluster runs: its names, from which certificates and Kubernetes objects get theirs.

    `hosts`: further host names or addresses, as (component, host).

    Raises: ConfigError.
    """

    deployment: str
    release: str = "sealflow"
    namespace: str = "default"
    hosts: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no certificate or manifest may hold."""
        for what, name in (("release", self.release), ("namespace", self.namespace)):
            if _NAME.fullmatch(name) is None:
                raise ConfigError(f"{what} {name!r}: use up to 53 of a-z, 0-9 and '-'")
        known = [component.name for component in COMPONENTS if component.serves]
        for name, host in self.hosts:
            if name not in known:
                raise ConfigError(f"no component {name!r} serves: name one of {', '.join(known)}")
            if _HOST.fullmatch(host) is None and ":" not in host:
                raise ConfigError(f"{name}: {host!r} is not a host name or address")

    def names_of(self, component: Component) -> tuple[str, ...]:
        """All names that a serving component is reached by; none for one that only calls."""
        if not component.serves:
            return ()
        service = f"{self.release}-{component.name}"
        inside = f"{service}.{self.namespace}.svc"
        own = (host for name, host in self.hosts if name == component.name)
        pods = (f"*.{inside}", f"*.{inside}.cluster.local")
        return tuple(
            dict.fromkeys(
                (
                    component.name,
                    "localhost",
                    "127.0.0.1",
                    "::1",
                    service,
                    f"{service}.{self.namespace}",
                    inside,
                    f"{inside}.cluster.local",
                    *pods,
                    *own,
                )
            )
        )
