"""Host: get collateral for enclaves from a PCCS or AMD's KDS, and cache it in a folder."""

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
from sealflow.host.collateral.download import FetchedCollateral, Server
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
    """Fetched collateral in a folder: one file for each request, written atomically."""

    def __init__(self, folder: str) -> None:
        """Use `folder`; create it, with mode 0700, when it does not exist.

        Raises: ConfigError when it cannot be created.
        """
        self._folder = Path(folder)
        with file_errors(f"collateral: cache_dir {folder}"):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def load(self, request: bytes) -> FetchedCollateral | None:
        """Return the cached collateral for a request, or None when there is none.

        A file that is larger than 2 MiB counts as none; so does an unreadable one, which is logged.
        """
        path = self._path(request)
        try:
            if path.stat().st_size > _MAX_BYTES:
                return None
            fields = Fields.from_bytes(path.read_bytes(), "cached collateral", _NAMES)
            return FetchedCollateral(
                collateral=fields.base64("collateral", _MAX_BYTES),
                issued_s=fields.integer("issued_s"),
                expires_s=fields.integer("expires_s"),
            )
        except FileNotFoundError:
            return None
        except (OSError, MalformedError) as error:
            _log.warning("cached collateral cannot be read", path=str(path), error=str(error))
            return None

    def store(self, request: bytes, fetched: FetchedCollateral) -> None:
        """Cache the collateral for a request. A write error is only logged."""
        path = self._path(request)
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

    def _path(self, request: bytes) -> Path:
        return self._folder / f"{hashlib.sha256(request).hexdigest()}.json"


class CollateralConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of the collateral source. Times are in seconds."""

    cache_dir: str
    """The folder where fetched collateral is cached."""
    pccs_url: str | None = None
    """The address of the operator's PCCS, version 4, for SGX and TDX."""
    kds_url: str | None = None
    """The address of AMD's key distribution service or a mirror of it, for SEV-SNP."""
    ca_file: str | None = None
    """A PEM file of the roots of both servers' TLS certificates; None: the system's roots."""
    timeout_s: float = 8.0
    """The time limit of one download."""
    amd_product: str = ""
    """Milan, Genoa or Turin, for SNP reports of version 2, which do not name their processor."""
    vlek_file: str | None = None
    """A DER file of the VLEK certificate, for clouds that sign reports with a VLEK."""


class CollateralSource:
    """Collateral from the cache or, when that is due, from its server. Any thread may use it.

    After a failed download, the same request is not sent to the server again for 60 s.
    """

    def __init__(self, config: CollateralConfig, now_s: Callable[[], float] = time.time) -> None:
        """Prepare the cache and servers of `config`; `now_s` is the clock, in Unix seconds.

        Raises: ConfigError when a URL or file is not valid, or the cache cannot be created.
        """
        self._cache = Cache(config.cache_dir)
        # Intel's quote library takes this address with its path: accept both forms.
        pccs = config.pccs_url and config.pccs_url.rstrip("/").removesuffix(_PCCS_PATH)
        self._servers = {
            name: None if url is None else _server(url, config)
            for name, url in (("pccs_url", pccs), ("kds_url", config.kds_url))
        }
        self._product = config.amd_product
        self._vlek = None if config.vlek_file is None else _read_vlek(config.vlek_file)
        self._now_s = now_s
        self._lock = threading.Lock()
        self._failed: dict[bytes, tuple[float, str]] = {}

    def get(self, request: bytes) -> bytes:
        """Return collateral for a request of an enclave; it has not expired.

        It comes from the cache during the first half of its validity period. Later it is fetched
        again, and the cache is used only while the server is unavailable.

        Raises: UnavailableError with the reason when there is none; MalformedError when `request`
            is not a collateral request.
        """
        parsed = parse_collateral_request(request)
        with self._lock:
            now_s = self._now_s()
            cached = self._cache.load(request)
            if cached is not None and now_s < cached.renew_s:
                return cached.collateral
            try:
                fetched = self._fetch(request, parsed, now_s)
            except UnavailableError as error:
                if cached is None:
                    raise UnavailableError(f"no collateral: {error}") from error
                if now_s >= cached.expires_s:
                    end = datetime.fromtimestamp(cached.expires_s, UTC)
                    raise UnavailableError(
                        f"the cached collateral expired on {end:%Y-%m-%d %H:%M} UTC, and newer "
                        f"collateral could not be fetched: {error}"
                    ) from error
                _log.warning("collateral could not be renewed", error=str(error))
                return cached.collateral
            if cached is not None and fetched.expires_s < cached.expires_s:
                # A mirror that lags behind may serve older collateral than the cached one.
                return cached.collateral
            self._cache.store(request, fetched)
            return fetched.collateral

    def _fetch(
        self, request: bytes, parsed: IntelCollateralRequest | AmdCollateralRequest, now_s: float
    ) -> FetchedCollateral:
        failed_s, why = self._failed.get(request, (0.0, ""))
        if 0 <= now_s - failed_s < _PAUSE_S:
            raise UnavailableError(why)
        try:
            if isinstance(parsed, IntelCollateralRequest):
                fetched = fetch_intel(self._server("pccs_url"), parsed)
            else:
                server = self._server("kds_url")
                fetched = fetch_amd(server, parsed, product=self._product, vlek=self._vlek)
            if now_s >= fetched.expires_s:
                raise UnavailableError("the collateral of its server has expired")  # noqa: TRY301
        except UnavailableError as error:
            self._failed[request] = (now_s, str(error))
            raise
        self._failed.pop(request, None)
        _log.info("collateral fetched", tee=type(parsed).__name__, expires_s=fetched.expires_s)
        return fetched

    def _server(self, name: str) -> Server:
        server = self._servers[name]
        if server is None:
            raise UnavailableError(f"set {name} in the table collateral of this process's settings")
        return server


def _server(url: str, config: CollateralConfig) -> Server:
    return Server(url, ca_file=config.ca_file, timeout_s=config.timeout_s)


def _read_vlek(path: str) -> bytes:
    with file_errors(f"collateral: vlek_file {path}"):
        content = Path(path).read_bytes()
    if not 0 < len(content) <= _MAX_VLEK_BYTES:
        raise ConfigError(
            f"collateral: vlek_file {path} is not a certificate: it has {len(content)} bytes, and "
            f"must have 1 to {_MAX_VLEK_BYTES}"
        )
    return content
