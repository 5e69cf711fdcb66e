"""Owner: remember the newest directory seen, and refuse older or forked ones."""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING

from sealflow.errors import EvidenceError

if TYPE_CHECKING:
    from sealflow.seal.directory import Directory


class DirectoryPin:
    """The newest directory that a client accepted. Safe to share between threads.

    Spec: docs/spec/directory.md.
    """

    def __init__(self) -> None:
        """Start without a memory: the first directory is taken as it is."""
        self._lock = threading.Lock()
        self._version = -1
        self._digest = ""
        self._directory: Directory | None = None

    @property
    def directory(self) -> Directory | None:
        """The newest directory accepted."""
        return self._directory

    def accept(self, directory: Directory, payload: bytes) -> Directory:
        """Take a verified directory if it is the newest or a successor; returns the newest.

        `payload`: the exact bytes that were signed.
        Raises: EvidenceError for a rollback, or when two histories do not fit together.
        """
        digest = hashlib.sha256(payload).hexdigest()
        with self._lock:
            if directory.version < self._version:
                detail = (
                    f"version {directory.version} is older than {self._version}, seen before: "
                    "the operator serves an old directory; ask it to serve the current one"
                )
                raise EvidenceError("directory_rollback", detail)
            forked = (
                digest != self._digest
                if directory.version == self._version
                else directory.version == self._version + 1
                and self._version >= 0
                and directory.previous != self._digest
            )
            if forked:
                detail = (
                    f"version {directory.version} does not continue the history seen before: "
                    "two directories are being shown; do not send anything, tell the owner"
                )
                raise EvidenceError("directory_fork", detail)
            self._version, self._digest, self._directory = directory.version, digest, directory
        return directory
