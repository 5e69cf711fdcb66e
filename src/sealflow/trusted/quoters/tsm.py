"""Trusted: quotes of TDX trust domains and reports of SEV-SNP guests, from Linux's configfs-tsm.

Source: Linux, Documentation/ABI/testing/configfs-tsm.
"""

from __future__ import annotations

import secrets
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealflow.attest.evidence import Tee
from sealflow.errors import UnavailableError
from sealflow.trusted.journal import FatalError
from sealflow.trusted.quoters.quoter import read_file, require_answer, write_file
from sealflow.wire.frame_payloads import Fatal

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER: Final = Path("/sys/kernel/config/tsm/report")
PROVIDERS: Final = {Tee.TDX: b"tdx_guest", Tee.SNP: b"sev_guest"}
_TRIES: Final = 3
_MAX_WORD_BYTES: Final = 64


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

        Raises: FatalError when this is no confidential virtual machine.
        """
        self._provider = PROVIDERS[tee]
        self._folder = folder
        self._make = make
        self._remove = remove
        self._lock = threading.Lock()
        if not folder.is_dir():
            raise FatalError(Fatal.TEE)

    def quote(self, report_data: bytes) -> bytes:
        """Give a quote or report that carries 64 bytes.

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
        raise UnavailableError("the kernel's count of writes is no number")
    return int(text)
