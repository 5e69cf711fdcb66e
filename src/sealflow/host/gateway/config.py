"""Host: the settings of one gateway process."""

from __future__ import annotations

import math

from sealflow.errors import ConfigError, MalformedError
from sealflow.host.gateway.cross_origin import CrossOrigin
from sealflow.host.gateway.limits.peers import trusted_networks
from sealflow.host.settings import BrokerSettings
from sealflow.wire.envelope import DEFAULT_MAX_BODY_BYTES
from sealflow.wire.ids import parse_name


class GatewayConfig(BrokerSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings file of a gateway. Times are in seconds, sizes in bytes.

    Raises: ConfigError when a value is not valid.
    """

    deployment: str
    """The name of the deployment, which begins all keys in the broker."""
    packages_dir: str | None = None
    """The folder of sealed model packages, `<digest>.sealed`; None turns `/v1/packages` off."""
    passports: tuple[str, ...] = ()
    """Files, or addresses of verifiers, whose passports are published with the directory."""
    passports_ca_file: str | None = None
    """A PEM file of the root certificates to verify these addresses with; None: the system's."""
    witnesses: tuple[str, ...] = ()
    """Files, or addresses of witnesses, whose cosignatures are published with the directory."""
    witnesses_ca_file: str | None = None
    """A PEM file of the root certificates to verify these addresses with; None: the system's."""

    host: str = "127.0.0.1"
    port: int = 8470
    """0 chooses a free port; the start-up log line and the status name it."""
    cors_origins: tuple[str, ...] = ()
    """The origins whose web pages may read answers, such as `https://app.example`; or `*` alone."""
    tls_certificate: str | None = None
    """A PEM file of the certificate chain; with `tls_key` it turns on TLS 1.2 or newer."""
    tls_key: str | None = None
    """A PEM file of the private key of `tls_certificate`."""

    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES
    """The limit on the body of an envelope."""
    max_package_bytes: int = 4 * 2**30
    max_owner_bytes: int = 64 * 2**30
    """The limit on all published packages of one owner together."""
    max_unlisted_bytes: int = 8 * 2**30
    """The limit on all files of packages whose SHA-256 no directory lists, such as those that a
    client of an earlier release uploads before it publishes them. They are kept for a day."""
    max_held_bytes: int = 64 * 2**20
    """What all bodies and answers together may take of this process's memory; above, the largest
    end with 503. The process needs about three times as much, and 96 MiB."""
    max_connections: int = 4096
    """The number of open connections or running requests from which new requests get 503."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks of proxies whose `x-forwarded-for` names the peer of a request."""
    peer_share: float = 0.75
    """The part of connections, held bytes and `queue_capacity` that one peer may take."""
    peer_requests_s: float = 0.0
    """How many envelopes and key-broker requests a second one peer may send; 0: no limit."""
    least_rate: int = 65536
    """How many bytes a second of a body over 64 KiB, and of an answer, a peer must send or take."""
    queue_capacity: int = 4096
    """The number of unanswered requests in the queue from which new ones get 429."""
    control_capacity: int = 256
    """The same for requests to the key broker."""
    min_replicas: int = 0
    """How many replicas of the broker must confirm a request before it is accepted."""

    max_wait_s: float = 120.0
    """The longest wait for the reply to an envelope."""
    control_wait_s: float = 20.0
    """The longest wait for an answer of the key broker."""
    header_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    upload_timeout_s: float = 900.0
    keep_alive_s: float = 75.0
    """How long a connection may be idle between requests."""
    inbox_ttl_s: float = 600.0
    """How long the reply to an asynchronous request can be fetched."""
    drain_s: float = 20.0
    """How long the gateway waits for requests in flight after SIGTERM."""
    log_requests: bool = False
    """Log every request; if false, only those answered with status 500 or above."""

    @property
    def cross_origin(self) -> CrossOrigin:
        """The permission of pages of other origins to read answers.

        Raises: ConfigError when `cors_origins` is not valid.
        """
        return CrossOrigin(self.cors_origins)

    def __post_init__(self) -> None:
        """Check the values, so that errors show at start."""
        try:
            parse_name(self.deployment)
        except MalformedError as error:
            msg = (
                f"deployment: {self.deployment!r} is not a name; use letters, digits, '.', '_', '-'"
            )
            raise ConfigError(msg) from error
        if (self.tls_certificate is None) != (self.tls_key is None):
            msg = "tls_certificate and tls_key belong together: set both, or neither"
            raise ConfigError(msg)
        if self.min_replicas < 0:
            raise ConfigError("min_replicas: must not be negative")
        self.broker  # noqa: B018 - raises what is wrong with it
        self.cross_origin  # noqa: B018 - likewise
        trusted_networks(self.trusted_proxies)
        if not 0 < self.peer_share <= 1:
            raise ConfigError("peer_share: must be greater than 0 and at most 1")
        if self.peer_requests_s < 0:
            raise ConfigError("peer_requests_s: must not be negative")
        least_bytes = self.max_body_bytes + _LEAST_SPARE_BYTES
        if self.max_held_bytes * self.peer_share < least_bytes:
            raise ConfigError(
                f"max_held_bytes: one peer's share must hold one body: with max_body_bytes "
                f"{self.max_body_bytes}, set at least {math.ceil(least_bytes / self.peer_share)}"
            )
        for name in _POSITIVE:
            if getattr(self, name) <= 0:
                msg = f"{name}: must be greater than 0"
                raise ConfigError(msg)


_LEAST_SPARE_BYTES = 2**20
_POSITIVE = (
    "max_body_bytes",
    "max_package_bytes",
    "max_owner_bytes",
    "max_unlisted_bytes",
    "max_connections",
    "max_held_bytes",
    "least_rate",
    "queue_capacity",
    "control_capacity",
    "max_wait_s",
    "control_wait_s",
    "header_timeout_s",
    "body_timeout_s",
    "upload_timeout_s",
    "keep_alive_s",
    "inbox_ttl_s",
    "drain_s",
)
