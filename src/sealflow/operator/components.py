"""Operator: the components of a cluster, and which keys and names each one has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sealflow.errors import ConfigError

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?")
_HOST: Final = re.compile(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?")


class CertificateGroup(StrEnum):
    """A set of components that trust the same certificate authority.

    `service` is for all components but Flink's. Holders of a `flink` certificate can join the Flink
    job; holders of a `rest` certificate can submit code to it. Therefore each group has an
    authority of its own, and a certificate is valid in its own group only.
    """

    SERVICE = "service"
    FLINK = "flink"
    REST = "rest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A process that has a private key and a certificate of its own.

    `serves`: is a TLS server. `calls`: is a TLS client.
    `java`: has RSA keys and PKCS #12 stores, since the JVM's default suites and stores need them.
    `broker_user`: the broker has a user of this name.
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
"""All components. `control` is the key broker's host. `client` is a data owner that uses the queue
without the gateway. `scaler` reads the queue's length for KEDA. `rest` is Flink's REST server, and
`submit` sends the job to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterNames:
    """The names of a cluster: those in its certificates and of its Kubernetes objects.

    `deployment`: name of the Sealflow deployment. `release`: name of the Helm release.
    `namespace`: Kubernetes namespace of the release.
    `hosts`: further host names or IP addresses of serving components, as (component, host).

    Raises: ConfigError when a name cannot be in a certificate or manifest.
    """

    deployment: str
    release: str = "sealflow"
    namespace: str = "default"
    hosts: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Check release, namespace and hosts."""
        for field, name in (("release", self.release), ("namespace", self.namespace)):
            if _NAME.fullmatch(name) is None:
                raise ConfigError(
                    f"{field} {name!r} is not a valid name: use 1 to 53 of a-z, 0-9 and '-', "
                    "without '-' at the start or end"
                )
        known = [component.name for component in COMPONENTS if component.serves]
        for name, host in self.hosts:
            if name not in known:
                raise ConfigError(
                    f"host {host!r}: {name!r} is not a serving component: "
                    f"name one of {', '.join(known)}"
                )
            if _HOST.fullmatch(host) is None and ":" not in host:
                raise ConfigError(f"{name}: {host!r} is not a host name or IP address")

    def names_of(self, component: Component) -> tuple[str, ...]:
        """Return all host names and IP addresses of a component; none if it does not serve."""
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
