"""Host, gateway: the routes for sealed packages, and the folder where they are stored."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from sealflow.errors import MalformedError, UnavailableError
from sealflow.files import file_errors
from sealflow.host.gateway.http import BodyTooLargeError, ProblemError, Response, json_response
from sealflow.host.settings import PACKAGE_SUFFIX, package_path
from sealflow.wire.ids import parse_digest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sealflow.host.gateway.config import GatewayConfig
    from sealflow.host.gateway.http import Request


_PART_SUFFIX: Final = ".part"
_WRITE_BYTES: Final = 2**20
_ABANDONED_AFTER_S: Final = 86_400


class PackageRoutes:
    """The routes `PUT /v1/packages/{digest}` and `GET /v1/packages`."""

    def __init__(self, config: GatewayConfig, packages: PackageStore | None) -> None:
        """Set the store; None turns both routes off."""
        self._config = config
        self._packages = packages

    async def put(self, request: Request) -> Response:
        """Store a package under the digest of its signed statement."""
        packages = self._require_store()
        limit = self._config.max_package_bytes
        try:
            digest = parse_digest(request.argument)
            chunks = request.body_chunks(limit, self._config.upload_timeout_s)
            size = await packages.store(digest, chunks)
        except MalformedError as error:
            detail = f"{error}: give the SHA-256 of the package's statement, in lower-case hex"
            raise ProblemError(400, detail, close=True) from error
        except BodyTooLargeError:
            detail = (
                f"the package is larger than {limit} bytes: raise the gateway's max_package_bytes"
            )
            raise ProblemError(413, detail, close=True) from None
        return json_response({"digest": digest, "bytes": size}, status=201)

    async def list(self, request: Request) -> Response:
        """Return digest and size in bytes of every stored package."""
        del request
        listing = await asyncio.to_thread(self._require_store().listing)
        return json_response({"packages": listing})

    def _require_store(self) -> PackageStore:
        if self._packages is None:
            detail = "this gateway does not store packages: set packages_dir in its settings"
            raise ProblemError(404, detail, close=True)
        return self._packages


class PackageStore:
    """The folder of sealed packages, `<digest>.sealed`, from which engines read them.

    The digest is that of the signed statement within the package. A worker checks it before it
    parses the package. So a wrong file makes its model unavailable, but discloses nothing.
    """

    def __init__(self, folder: Path) -> None:
        """Use `folder`; create it with mode 0700 when it does not exist.

        Incomplete uploads that are older than one day are deleted.

        Raises: ConfigError.
        """
        self._folder = folder
        with file_errors(f"packages_dir {folder}", "make it writable for the gateway"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for part in folder.glob(f"*{_PART_SUFFIX}"):
                if time.time() - part.stat().st_mtime > _ABANDONED_AFTER_S:
                    part.unlink()

    def listing(self) -> list[dict[str, object]]:
        """Return digest and size in bytes of every package, sorted by digest."""
        rows: list[dict[str, object]] = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.endswith(PACKAGE_SUFFIX) and entry.is_file(follow_symlinks=False):
                    digest = entry.name.removesuffix(PACKAGE_SUFFIX)
                    rows.append({"digest": digest, "bytes": entry.stat().st_size})
        return sorted(rows, key=lambda row: str(row["digest"]))

    async def store(self, digest: str, chunks: AsyncIterator[bytes]) -> int:
        """Write a package to disk chunk by chunk, move it into place, return its size in bytes.

        After an error nothing stays on the disk.

        Raises: MalformedError when `digest` is not a digest; UnavailableError when it cannot be
            written; the exceptions of `chunks`.
        """
        target = package_path(self._folder, parse_digest(digest))
        part = self._folder / f"{digest}.{secrets.token_hex(8)}{_PART_SUFFIX}"
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                size = await _write(descriptor, chunks)
                await asyncio.to_thread(os.fsync, descriptor)
            finally:
                os.close(descriptor)
            part.rename(target)
        except OSError as error:
            msg = f"the package could not be stored: {error.strerror}"
            raise UnavailableError(msg, retry_after_s=60.0) from error
        finally:
            with suppress(FileNotFoundError):
                part.unlink()
        return size


async def _write(descriptor: int, chunks: AsyncIterator[bytes]) -> int:
    total = 0
    pending = bytearray()
    async for chunk in chunks:
        pending += chunk
        total += len(chunk)
        if len(pending) >= _WRITE_BYTES:
            await asyncio.to_thread(_write_all, descriptor, bytes(pending))
            pending.clear()
    await asyncio.to_thread(_write_all, descriptor, bytes(pending))
    return total


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
