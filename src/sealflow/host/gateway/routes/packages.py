"""Host, gateway: the routes for sealed packages, and the folder where they are stored."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sealflow.errors import MalformedError, UnavailableError
from sealflow.files import file_errors
from sealflow.host.gateway.http import BodyTooLargeError, ProblemError, Response, json_response
from sealflow.host.settings import PACKAGE_SUFFIX, package_path
from sealflow.wire.fields import base64_bytes, json_object
from sealflow.wire.ids import parse_digest
from sealflow.wire.strict_json import parse_object

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping
    from pathlib import Path

    from sealflow.host.gateway.config import GatewayConfig
    from sealflow.host.gateway.http import Request
    from sealflow.host.gateway.routes.keybroker import DirectoryCache


_PART_SUFFIX: Final = ".part"
_WRITE_BYTES: Final = 2**20
_ABANDONED_AFTER_S: Final = 86_400
_MAX_PAYLOAD_BYTES: Final = 2**20


class PackageRoutes:
    """The routes `PUT /v1/packages/{digest}` and `GET /v1/packages`."""

    def __init__(
        self, config: GatewayConfig, packages: PackageStore | None, directory: DirectoryCache
    ) -> None:
        """Set the store; None turns both routes off. `directory`: says which packages there are."""
        self._config = config
        self._packages = packages
        self._directory = directory

    async def put(self, request: Request) -> Response:
        """Store a package under the digest of its signed statement, if it is the right one.

        Of a package in the directory, size and SHA-256 of the file must be those that its owner
        signed. Of another one, the first file counts, within `max_unlisted_bytes`.
        """
        packages = self._require_store()
        try:
            digest = parse_digest(request.argument)
        except MalformedError as error:
            detail = f"{error}: give the SHA-256 of the package's statement, in lower-case hex"
            raise ProblemError(400, detail, close=True) from error
        listed = await self._listed()
        signed = listed.get(digest)
        limit = await self._limit(packages, digest, listed)
        try:
            chunks = request.body_chunks(limit, self._config.upload_timeout_s)
            size, new = await packages.store(digest, chunks, signed)
        except BodyTooLargeError:
            detail = (
                f"the package is larger than {limit} bytes, which its owner's order, "
                "max_package_bytes or max_unlisted_bytes allow: publish it, then upload it"
            )
            raise ProblemError(413, detail, close=True) from None
        except FileExistsError:
            detail = "another file is stored for this package, or its owner signed another one"
            raise ProblemError(409, f"{detail}: publish it again", close=True) from None
        return json_response({"digest": digest, "bytes": size}, status=201 if new else 200)

    async def list(self, request: Request) -> Response:
        """Return digest and size in bytes of every stored package that the directory lists."""
        del request
        store, listed = self._require_store(), await self._listed()
        rows = await asyncio.to_thread(store.listing)
        return json_response({"packages": [row for row in rows if row["digest"] in listed]})

    async def _limit(
        self, packages: PackageStore, digest: str, listed: Mapping[str, SignedFile]
    ) -> int:
        signed = listed.get(digest)
        if signed is not None and signed.sha256 is not None:
            own = [each.size for each in listed.values() if each.owner == signed.owner]
            if sum(own) > self._config.max_owner_bytes:
                detail = "this owner's packages are over the gateway's max_owner_bytes"
                raise ProblemError(413, f"{detail}: revoke one, or raise it", close=True)
            return min(signed.size, self._config.max_package_bytes)
        known = {each for each, file in listed.items() if file.sha256 is not None}
        used = await asyncio.to_thread(packages.unlisted_bytes, known)
        room = self._config.max_unlisted_bytes - used
        if room <= 0:
            detail = "there is no room for packages that no directory lists"
            raise ProblemError(507, f"{detail}: publish the package, then upload it", close=True)
        return min(room, self._config.max_package_bytes)

    async def _listed(self) -> dict[str, SignedFile]:
        found = await self._directory.read()
        return {} if found is None else signed_files(found[0])

    def _require_store(self) -> PackageStore:
        if self._packages is None:
            detail = "this gateway does not store packages: set packages_dir in its settings"
            raise ProblemError(404, detail, close=True)
        return self._packages


@dataclass(frozen=True, slots=True)
class SignedFile:
    """The file of a package that its owner signed, as the directory lists it.

    `sha256` is None, and `size` 0, of packages that were published without an order.
    """

    owner: str
    sha256: str | None
    size: int


def signed_files(document: bytes) -> dict[str, SignedFile]:
    """Return the packages that a published directory lists, by digest.

    Nothing is verified: the directory is this host's own, and a wrong one costs availability.
    """
    try:
        directory = json_object(parse_object(document, "published document").get("directory"))
        payload = base64_bytes(directory.get("payload"), _MAX_PAYLOAD_BYTES, "payload")
        models = parse_object(payload, "directory").get("models")
        rows = [json_object(row) for row in models] if isinstance(models, list) else []
        return {parse_digest(row.get("digest")): _signed_file(row) for row in rows}
    except MalformedError:
        return {}


def _signed_file(row: dict[str, object]) -> SignedFile:
    sha256, size = row.get("package_sha256"), row.get("package_bytes")
    if not isinstance(sha256, str) or not isinstance(size, int):
        return SignedFile(str(row.get("owner")), None, 0)
    return SignedFile(str(row.get("owner")), parse_digest(sha256), size)


class PackageStore:
    """The folder of sealed packages, `<digest>.sealed`, from which engines read them.

    The digest is that of the signed statement within the package. A worker checks it before it
    parses the package, and its engine moves a file aside that is another one. A file that is there
    is replaced by nothing but the file that its owner signed.
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

    def unlisted_bytes(self, known: Collection[str]) -> int:
        """Return the size of all files whose SHA-256 no directory lists.

        Those that are older than one day are deleted. `known`: digests of the others.
        """
        total = 0
        for path in self._folder.iterdir():
            if path.stem in known and path.suffix == PACKAGE_SUFFIX:
                continue
            with suppress(OSError):
                status = path.stat()
                if time.time() - status.st_mtime > _ABANDONED_AFTER_S and path.is_file():
                    path.unlink()
                else:
                    total += status.st_size
        return total

    async def store(
        self, digest: str, chunks: AsyncIterator[bytes], signed: SignedFile | None
    ) -> tuple[int, bool]:
        """Write a package to disk chunk by chunk and move it into place.

        Return its size in bytes, and whether there was none. After an error nothing new stays on
        the disk. `signed`: the file that it must be, if its owner signed one.

        Raises: FileExistsError when another file is there, or was signed; UnavailableError when it
            cannot be written; the exceptions of `chunks`.
        """
        target = package_path(self._folder, digest)
        part = self._folder / f"{digest}.{secrets.token_hex(8)}{_PART_SUFFIX}"
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                size, sha256 = await _write(descriptor, chunks)
                await asyncio.to_thread(os.fsync, descriptor)
            finally:
                os.close(descriptor)
            wanted = None if signed is None else signed.sha256
            there = target.is_file()
            if wanted is None and there:
                wanted = await asyncio.to_thread(_sha256_of, target)
            if wanted not in {None, sha256}:
                raise FileExistsError  # noqa: TRY301 - the part is removed below
            part.rename(target)
        except FileExistsError:
            raise
        except OSError as error:
            msg = f"the package could not be stored: {error.strerror}"
            raise UnavailableError(msg, retry_after_s=60.0) from error
        finally:
            with suppress(FileNotFoundError):
                part.unlink()
        return size, not there


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def _write(descriptor: int, chunks: AsyncIterator[bytes]) -> tuple[int, str]:
    total, digest = 0, hashlib.sha256()
    pending = bytearray()
    async for chunk in chunks:
        pending += chunk
        total += len(chunk)
        if len(pending) >= _WRITE_BYTES:
            digest.update(pending)
            await asyncio.to_thread(_write_all, descriptor, bytes(pending))
            pending.clear()
    digest.update(pending)
    await asyncio.to_thread(_write_all, descriptor, bytes(pending))
    return total, digest.hexdigest()


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
