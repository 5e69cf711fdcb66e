"""Host: the settings of the key broker's host process."""

from __future__ import annotations

from sealflow.host.enclave.command import EnclaveConfig


class KeyBrokerHostConfig(EnclaveConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the key broker's host reads.

    `state_dir`: a folder of this instance alone for the sealed state and the whole log. Without it
    both are at the broker only, and the log's older part is lost.
    """

    deployment: str
    state_dir: str | None = None
    leader_lease_ms: int = 6000
    """How long the others wait before one of them takes over from an instance that died."""
    logs_dir: str | None = None
