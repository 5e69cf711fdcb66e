"""Host: the settings of the key broker host."""

from __future__ import annotations

from sealflow.host.enclave.command import EnclaveConfig


class KeyBrokerHostConfig(EnclaveConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings file of `python -m sealflow.host.keybroker_host CONFIG.toml`."""

    deployment: str
    """The name of the deployment, which begins all keys in the broker."""
    state_dir: str | None = None
    """A folder for the sealed state and the whole log, which no other instance uses. None keeps
    both in the broker only, which drops old log records."""
    leader_lease_ms: int = 6000
    """The leader's lease in milliseconds: after so long a standby takes over from a leader that
    ended without releasing it."""
    logs_dir: str | None = None
    """The folder for the standard error of the key broker; None discards it."""
