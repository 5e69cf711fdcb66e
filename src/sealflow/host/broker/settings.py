"""Host: the settings with which every process of the host finds its broker."""

from __future__ import annotations

import msgspec

from sealflow.streams.address import BrokerAddress


class BrokerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The part of a process's settings that says where the queue is."""

    broker_url: str
    """`unix:///path`, `valkey(s)://user@host:port`, `sentinel(s)://host,host/group`; never with a
    password."""
    broker_password_file: str | None = None
    """A file of one line, read anew at each connection."""
    broker_ca_file: str | None = None
    """PEM of the roots that the broker's certificate must come from."""
    broker_certificate_file: str | None = None
    """PEM of this process's own certificate, with `broker_key_file`."""
    broker_key_file: str | None = None

    @property
    def broker(self) -> BrokerAddress:
        """All of it in one value.

        Raises: ConfigError.
        """
        return BrokerAddress(
            url=self.broker_url,
            password_file=self.broker_password_file,
            ca_file=self.broker_ca_file,
            certificate_file=self.broker_certificate_file,
            key_file=self.broker_key_file,
        )
