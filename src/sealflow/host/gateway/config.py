"""Host: the settings of one gateway process."""

from __future__ import annotations

from sealflow.errors import ConfigError, MalformedError
from sealflow.host.settings import BrokerSettings
from sealflow.wire.envelope import DEFAULT_MAX_BODY_BYTES
from sealflow.wire.ids import parse_name


class GatewayConfig(BrokerSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `python -m sealflow.host.gateway CONFIG.toml` reads. Times in seconds, sizes in bytes.

    Raises: ConfigError when a value cannot work.
    """

    deployment: str
    packages_dir: str | None = None
    """Where sealed model packages lie, as `<digest>.sealed`; None turns uploads off."""

    host: str = "127.0.0.1"
    port: int = 8470
    """0 takes a free port; the start-up log line and the status say which."""
    tls_certificate: str | None = None
    """PEM file with the certificate chain; with `tls_key` it turns TLS (1.2 or newer) on."""
    tls_key: str | None = None

    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES
    max_package_bytes: int = 4 * 2**30
    max_connections: int = 4096
    queue_capacity: int = 4096
    """Unanswered requests that the queue holds before new ones get 429."""
    control_capacity: int = 256
    min_replicas: int = 0
    """A request counts as accepted once so many replicas of the broker have it."""

    max_wait_s: float = 120.0
    control_wait_s: float = 20.0
    header_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    upload_timeout_s: float = 900.0
    keep_alive_s: float = 75.0
    inbox_ttl_s: float = 600.0
    """How long the reply of an asynchronous request can be fetched."""
    drain_s: float = 20.0
    """How long SIGTERM waits for requests in flight."""
    log_requests: bool = False
    """One log line for every request; without it, for those that failed on this side."""

    def __post_init__(self) -> None:
        """Refuse settings that could only fail later."""
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
        for name in _POSITIVE:
            if getattr(self, name) <= 0:
                msg = f"{name}: must be greater than 0"
                raise ConfigError(msg)


_POSITIVE = (
    "max_body_bytes",
    "max_package_bytes",
    "max_connections",
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
