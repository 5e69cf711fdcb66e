"""Trusted: gets hardware quotes: for SGX from Gramine, for TDX and SEV-SNP from Linux.

Spec: attestation.md, section 7. Source: Gramine documentation, attestation and secret provisioning,
low-level interface; Linux, Documentation/ABI/testing/configfs-tsm.
"""

from __future__ import annotations

import os
import secrets
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from sealflow.attest.amd.report import SNP_REPORT_BYTES
from sealflow.attest.evidence import MAX_QUOTE_BYTES, Tee
from sealflow.attest.intel.quote import split_quote
from sealflow.errors import MalformedError, UnavailableError
from sealflow.trusted.port import FatalError
from sealflow.wire.frame_payloads import Fatal

if TYPE_CHECKING:
    from collections.abc import Callable


_READ_BYTES: Final = 4096
DEVICE: Final = Path("/dev/attestation")
_DCAP: Final = b"dcap"
_MAX_TYPE_BYTES: Final = 64
FOLDER: Final = Path("/sys/kernel/config/tsm/report")
PROVIDERS: Final = {Tee.TDX: b"tdx_guest", Tee.SNP: b"sev_guest"}
_TRIES: Final = 3
_MAX_WORD_BYTES: Final = 64


def unverified_report_data(quote: bytes) -> bytes:
    """Return the 64 bytes of report data in a DCAP quote or an SNP report, without verifying it.

    Raises: MalformedError when the bytes are neither.
    """
    if len(quote) == SNP_REPORT_BYTES:
        return quote[0x50:0x90]
    return split_quote(quote).report_data


class QuoteSource(Protocol):
    """A thread-safe source of quotes about this enclave."""

    def quote(self, report_data: bytes) -> bytes:
        """Return a quote with the given 64 bytes of report data.

        Raises: UnavailableError when the quoting service of the hardware does not answer.
        """
        ...


def read_file(path: Path, limit: int = MAX_QUOTE_BYTES) -> bytes:
    """Read a file of the kernel or of Gramine to its end; one read may return only a part of it.

    Raises: OSError; UnavailableError when the content is over `limit` bytes.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        whole = bytearray()
        while part := os.read(descriptor, _READ_BYTES):
            whole += part
            if len(whole) > limit:
                raise UnavailableError(f"{path} is over {limit} bytes")
        return bytes(whole)
    finally:
        os.close(descriptor)


def write_file(path: Path, content: bytes) -> None:
    """Write an existing file of the kernel or of Gramine with one system call, as both require.

    Raises: OSError; UnavailableError when only a part was written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        if os.write(descriptor, content) != len(content):
            raise UnavailableError(f"{path}: not all {len(content)} bytes were written")
    finally:
        os.close(descriptor)


def require_answer(quote: bytes, report_data: bytes) -> bytes:
    """Return `quote` unchanged if it carries the requested report data.

    Raises: UnavailableError when it is not a quote or carries other report data.
    """
    try:
        carried = unverified_report_data(quote)
    except MalformedError as error:
        raise UnavailableError(f"the answer is not a quote: {error}") from error
    if carried != report_data:
        raise UnavailableError("the quote carries other report data than requested")
    return quote


class GramineQuoter:
    """Quotes of an SGX enclave, from Gramine's files under `/dev/attestation`.

    `device`: another folder only in tests.

    Raises: FatalError with TEE when this process is not an SGX enclave, with NOT_DCAP when
    Gramine's manifest does not allow DCAP attestation.
    """

    def __init__(self, device: Path = DEVICE) -> None:
        self._device = device
        # Gramine stores one report data for the process: no other thread may write before the read.
        self._lock = threading.Lock()
        try:
            # Gramine may have this folder outside of SGX too, but without this file.
            kind = read_file(device / "attestation_type", _MAX_TYPE_BYTES)
        except (OSError, UnavailableError) as error:
            raise FatalError(Fatal.TEE) from error
        if kind.strip() != _DCAP:
            raise FatalError(Fatal.NOT_DCAP)

    def quote(self, report_data: bytes) -> bytes:
        """Return a DCAP quote with the given 64 bytes of report data.

        Raises: UnavailableError when AESM does not answer.
        """
        with self._lock:
            try:
                write_file(self._device / "user_report_data", report_data)
                quote = read_file(self._device / "quote")
            except OSError as error:
                raise UnavailableError(
                    f"Gramine returns no quote: {error.strerror}; check that AESM runs on the host"
                ) from error
        return require_answer(quote, report_data)


class TsmQuoter:
    """Quotes of a TDX or SEV-SNP virtual machine, from Linux's configfs-tsm.

    Each quote has a folder of its own. The kernel's `generation` of that folder, its count of
    writes, shows whether another process wrote to it too.

    `folder`, `make`, `remove`: other values only in tests, which play the kernel.

    Raises: FatalError with TEE when the kernel does not have `folder`.
    """

    def __init__(
        self,
        tee: Tee,
        folder: Path = FOLDER,
        make: Callable[[Path], object] = Path.mkdir,
        remove: Callable[[Path], object] = Path.rmdir,
    ) -> None:
        self._provider = PROVIDERS[tee]
        self._folder = folder
        self._make = make
        self._remove = remove
        self._lock = threading.Lock()
        if not folder.is_dir():
            raise FatalError(Fatal.TEE)

    def quote(self, report_data: bytes) -> bytes:
        """Return a TDX quote or an SNP report with the given 64 bytes of report data.

        Raises: UnavailableError when the hypervisor's quoting service does not answer, or another
        process wrote to the folders of 3 tries; FatalError when the virtual machine is not of the
        expected TEE.
        """
        with self._lock:
            for _ in range(_TRIES):
                try:
                    quote = self._try_quote(report_data)
                except OSError as error:
                    raise UnavailableError(f"the kernel returns no quote: {error}") from error
                if quote is not None:
                    return require_answer(quote, report_data)
        raise UnavailableError(f"another process writes to folders in {self._folder}")

    def _try_quote(self, report_data: bytes) -> bytes | None:
        """Return a quote, or None if another process wrote too: the quote may be for its data."""
        entry = self._folder / f"sealflow-{secrets.token_hex(8)}"
        self._make(entry)
        try:
            if read_file(entry / "provider", _MAX_WORD_BYTES).strip() != self._provider:
                raise FatalError(Fatal.TEE)
            before = _generation(entry)
            write_file(entry / "inblob", report_data)
            quote = read_file(entry / "outblob")
            return quote if _generation(entry) == before + 1 else None
        finally:
            with suppress(OSError):
                self._remove(entry)


def _generation(entry: Path) -> int:
    path = entry / "generation"
    text = read_file(path, _MAX_WORD_BYTES)
    if not text.strip().isdigit():
        raise UnavailableError(f"{path} is not a number")
    return int(text)
