"""Trusted: quotes of SGX enclaves, from Gramine's pseudo files.

Source: Gramine documentation, attestation and secret provisioning, low-level interface.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

from sealflow.errors import UnavailableError
from sealflow.trusted.journal import FatalError
from sealflow.trusted.quoters.quoter import read_file, require_answer, write_file
from sealflow.wire.frame_payloads import Fatal

DEVICE: Final = Path("/dev/attestation")
_DCAP: Final = b"dcap"
_MAX_TYPE_BYTES: Final = 64


class GramineQuoter:
    """Gramine keeps one report data a process, so that one lock spans writing and reading."""

    def __init__(self, device: Path = DEVICE) -> None:
        """Find Gramine's files; `device` is another folder in tests alone.

        Raises: FatalError when this is no SGX enclave, or one that Gramine may not attest.
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
        """Give a quote that carries 64 bytes.

        Raises: UnavailableError when AESM does not answer.
        """
        with self._lock:
            try:
                write_file(self._device / "user_report_data", report_data)
                quote = read_file(self._device / "quote")
            except OSError as error:
                raise UnavailableError(f"Gramine gives no quote: {error.strerror}") from error
        return require_answer(quote, report_data)
