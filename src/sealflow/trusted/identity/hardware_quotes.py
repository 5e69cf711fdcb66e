"""Trusted: quotes of hardware: SGX by Gramine, TDX and SEV-SNP by Linux.

Source: Gramine documentation, attestation and secret provisioning, low-level interface; Linux,
Documentation/ABI/testing/configfs-tsm.
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


_PIECE_BYTES: Final = 4096
DEVICE: Final = Path("/dev/attestation")
_DCAP: Final = b"dcap"
_MAX_TYPE_BYTES: Final = 64
FOLDER: Final = Path("/sys/kernel/config/tsm/report")
PROVIDERS: Final = {Tee.TDX: b"tdx_guest", Tee.SNP: b"sev_guest"}
_TRIES: Final = 3
_MAX_WORD_BYTES: Final = 64


def unverified_report_data(quote: bytes) -> bytes:
    """Return the 64 bytes that a DCAP quote or an SNP report carries.

    Raises: MalformedError.
    """
    if len(quote) == SNP_REPORT_BYTES:
        return quote[0x50:0x90]
    return split_quote(quote).report_data


class QuoteSource(Protocol):
    """Gets quotes about this enclave; for any thread."""

    def quote(self, report_data: bytes) -> bytes:
        """Return a quote that carries 64 bytes.

        Raises: UnavailableError when the hardware's quoting service does not answer.
        """
        ...


def read_file(path: Path, limit: int = MAX_QUOTE_BYTES) -> bytes:
    """Read a file of the kernel or of Gramine to its end, however short each read is.

    Raises: OSError, UnavailableError for one over the limit.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        whole = bytearray()
        while piece := os.read(descriptor, _PIECE_BYTES):
            whole += piece
            if len(whole) > limit:
                raise UnavailableError(f"{path.name} has no end")
        return bytes(whole)
    finally:
        os.close(descriptor)


def write_file(path: Path, content: bytes) -> None:
    """Write a file that is there already, in one call, as such files want it.

    Raises: OSError, UnavailableError when it takes only a part.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        if os.write(descriptor, content) != len(content):
            raise UnavailableError(f"{path.name} took only a part")
    finally:
        os.close(descriptor)


def require_answer(quote: bytes, report_data: bytes) -> bytes:
    """Pass a quote on if it was made for what was asked; never anything in its place.

    Raises: UnavailableError.
    """
    try:
        carried = unverified_report_data(quote)
    except MalformedError as error:
        raise UnavailableError(f"what came is not a quote: {error}") from error
    if carried != report_data:
        raise UnavailableError("the quote was made for somebody else")
    return quote


class GramineQuoter:
    """Gramine keeps one report data a process, so that one lock spans writing and reading."""

    def __init__(self, device: Path = DEVICE) -> None:
        """Find Gramine's files; `device` is another folder in tests alone.

        Raises: FatalError when this is not an SGX enclave, or one that Gramine may not attest.
        """
        self._device = device
        self._lock = threading.Lock()
        try:
            # Outside of SGX the folder may be there too, but not this file.
            kind = read_file(device / "attestation_type", _MAX_TYPE_BYTES)
        except (OSError, UnavailableError) as error:
            raise FatalError(Fatal.TEE) from error
        if kind.strip() != _DCAP:
            raise FatalError(Fatal.NOT_DCAP)

    def quote(self, report_data: bytes) -> bytes:
        """Return a quote that carries 64 bytes.

        Raises: UnavailableError when AESM does not answer.
        """
        with self._lock:
            try:
                write_file(self._device / "user_report_data", report_data)
                quote = read_file(self._device / "quote")
            except OSError as error:
                raise UnavailableError(f"Gramine gives no quote: {error.strerror}") from error
        return require_answer(quote, report_data)


class TsmQuoter:
    """Makes a folder of its own for every quote; the kernel's count of writes shows intruders."""

    def __init__(
        self,
        tee: Tee,
        folder: Path = FOLDER,
        make: Callable[[Path], object] = Path.mkdir,
        remove: Callable[[Path], object] = Path.rmdir,
    ) -> None:
        """Find the kernel's folder. All but `tee` are others in tests alone, which play the kernel.

        Raises: FatalError when this is not a confidential virtual machine.
        """
        self._provider = PROVIDERS[tee]
        self._folder = folder
        self._make = make
        self._remove = remove
        self._lock = threading.Lock()
        if not folder.is_dir():
            raise FatalError(Fatal.TEE)

    def quote(self, report_data: bytes) -> bytes:
        """Return a quote or report that carries 64 bytes.

        Raises: UnavailableError when the hypervisor's quoting service does not answer, FatalError
        when this is another kind of virtual machine.
        """
        with self._lock:
            for _ in range(_TRIES):
                try:
                    quote = self._ask(report_data)
                except OSError as error:
                    raise UnavailableError(f"the kernel gives no quote: {error}") from error
                if quote is not None:
                    return require_answer(quote, report_data)
        raise UnavailableError("somebody else writes into this enclave's questions")

    def _ask(self, report_data: bytes) -> bytes | None:
        """Ask once; None when somebody else wrote in between, so that the answer may be theirs."""
        entry = self._folder / f"sealflow-{secrets.token_hex(8)}"
        self._make(entry)
        try:
            if read_file(entry / "provider", _MAX_WORD_BYTES).strip() != self._provider:
                raise FatalError(Fatal.TEE)
            before = _count(entry)
            write_file(entry / "inblob", report_data)
            quote = read_file(entry / "outblob")
            return quote if _count(entry) == before + 1 else None
        finally:
            with suppress(OSError):
                self._remove(entry)


def _count(entry: Path) -> int:
    text = read_file(entry / "generation", _MAX_WORD_BYTES)
    if not text.strip().isdigit():
        raise UnavailableError("the kernel's count of writes is not a number")
    return int(text)
