"""Host: collateral for enclaves, from a PCCS or AMD's service, kept in a folder."""

from __future__ import annotations

import hashlib
import threading
import time
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from sealflow.errors import ConfigError, MalformedError, UnavailableError
from sealflow.files import file_errors, write_file
from sealflow.host.collateral.amd import fetch_amd
from sealflow.host.collateral.download import Fetched, Server
from sealflow.host.collateral.intel import fetch_intel
from sealflow.wire.collateral_request import (
    AmdCollateralRequest,
    IntelCollateralRequest,
    parse_collateral_request,
)
from sealflow.wire.fields import Fields
from sealflow.wire.strict_json import canonical_json

if TYPE_CHECKING:
    from collections.abc import Callable


_log = structlog.get_logger()

_NAMES: Final = ("collateral", "issued_s", "expires_s")
_MAX_BYTES: Final = 2 * 2**20
_PAUSE_S: Final = 60
_PCCS_PATH: Final = "/sgx/certification/v4"
_MAX_VLEK_BYTES: Final = 16 * 1024


class Cache:
    """One file for each question, written whole or not at all."""

    def __init__(self, folder: str) -> None:
        """Keep files in `folder`, which is made when it is missing.

        Raises: ConfigError.
        """
        self._folder = Path(folder)
        with file_errors(f"collateral: cache_dir {folder}"):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def load(self, want: bytes) -> Fetched | None:
        """Return what was kept for a question; None when there is nothing that can be read."""
        path = self._path(want)
        try:
            if path.stat().st_size > _MAX_BYTES:
                return None
            fields = Fields.from_bytes(path.read_bytes(), "cached collateral", _NAMES)
            return Fetched(
                collateral=fields.base64("collateral", _MAX_BYTES),
                issued_s=fields.integer("issued_s"),
                expires_s=fields.integer("expires_s"),
            )
        except FileNotFoundError:
            return None
        except (OSError, MalformedError) as error:
            _log.warning("cached collateral cannot be read", path=str(path), error=str(error))
            return None

    def store(self, want: bytes, fetched: Fetched) -> None:
        """Keep collateral; a full disk is logged, for this process has it anyway."""
        path = self._path(want)
        content = canonical_json(
            {
                "collateral": b64encode(fetched.collateral).decode(),
                "issued_s": fetched.issued_s,
                "expires_s": fetched.expires_s,
            }
        )
        try:
            write_file(path, content)
        except OSError as error:
            _log.warning("collateral cannot be cached", path=str(path), error=str(error))

    def _path(self, want: bytes) -> Path:
        return self._folder / f"{hashlib.sha256(want).hexdigest()}.json"


class CollateralConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where collateral comes from. Times in seconds."""

    cache_dir: str
    pccs_url: str | None = None
    """The operator's own PCCS of version 4, for SGX and TDX."""
    kds_url: str | None = None
    """AMD's key distribution service or a mirror of it, for SEV-SNP."""
    ca_file: str | None = None
    """PEM file of the root that these servers' TLS certificates come from; None: the system's."""
    timeout_s: float = 8.0
    amd_product: str = ""
    """Milan, Genoa or Turin, for reports of version 2, which do not name their processor."""
    vlek_file: str | None = None
    """The leaf certificate in DER, where a cloud holds the key that signs reports."""


class CollateralSource:
    """For any thread. Fetches at most once a minute while its servers are away."""

    def __init__(self, config: CollateralConfig, now_s: Callable[[], float] = time.time) -> None:
        """Use the cache and servers of `config`.

        Raises: ConfigError.
        """
        self._cache = Cache(config.cache_dir)
        # Quoting libraries are given this address with its path.
        pccs = config.pccs_url and config.pccs_url.rstrip("/").removesuffix(_PCCS_PATH)
        self._servers = {
            name: None if url is None else _server(url, config)
            for name, url in (("pccs_url", pccs), ("kds_url", config.kds_url))
        }
        self._product = config.amd_product
        self._vlek = None if config.vlek_file is None else _read(config.vlek_file)
        self._now_s = now_s
        self._lock = threading.Lock()
        self._failed: dict[bytes, tuple[float, str]] = {}

    def get(self, want: bytes) -> bytes:
        """Return collateral that has not expired; fetched anew when half of its time is gone.

        Raises: UnavailableError that says why there is none, MalformedError.
        """
        question = parse_collateral_request(want)
        with self._lock:
            now_s = self._now_s()
            cached = self._cache.load(want)
            if cached is not None and now_s < cached.renew_s:
                return cached.collateral
            try:
                fetched = self._fetch(want, question, now_s)
            except UnavailableError as error:
                if cached is None:
                    raise UnavailableError(f"no collateral: {error}") from error
                if now_s >= cached.expires_s:
                    end = datetime.fromtimestamp(cached.expires_s, UTC)
                    raise UnavailableError(
                        f"the cached collateral ended on {end:%Y-%m-%d %H:%M} UTC, and there is no "
                        f"other: {error}"
                    ) from error
                _log.warning("collateral could not be renewed", error=str(error))
                return cached.collateral
            if cached is not None and fetched.expires_s < cached.expires_s:
                # An older answer of a lagging mirror does not renew it.
                return cached.collateral
            self._cache.store(want, fetched)
            return fetched.collateral

    def _fetch(
        self, want: bytes, question: IntelCollateralRequest | AmdCollateralRequest, now_s: float
    ) -> Fetched:
        failed_s, why = self._failed.get(want, (0.0, ""))
        if 0 <= now_s - failed_s < _PAUSE_S:
            raise UnavailableError(why)
        try:
            if isinstance(question, IntelCollateralRequest):
                fetched = fetch_intel(self._server("pccs_url"), question)
            else:
                server = self._server("kds_url")
                fetched = fetch_amd(server, question, product=self._product, vlek=self._vlek)
            if now_s >= fetched.expires_s:
                raise UnavailableError("what its server has is out of date")  # noqa: TRY301
        except UnavailableError as error:
            self._failed[want] = (now_s, str(error))
            raise
        self._failed.pop(want, None)
        _log.info("collateral fetched", tee=type(question).__name__, expires_s=fetched.expires_s)
        return fetched

    def _server(self, name: str) -> Server:
        server = self._servers[name]
        if server is None:
            raise UnavailableError(f"collateral: set {name}")
        return server


def _server(url: str, config: CollateralConfig) -> Server:
    return Server(url, ca_file=config.ca_file, timeout_s=config.timeout_s)


def _read(path: str) -> bytes:
    with file_errors(f"collateral: vlek_file {path}"):
        content = Path(path).read_bytes()
    if not 0 < len(content) <= _MAX_VLEK_BYTES:
        raise ConfigError(f"collateral: vlek_file {path} is not a certificate")
    return content
