"""Key broker: the process; it answers frames on one thread until its standard input ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealflow.attest.evidence import Role
from sealflow.errors import MalformedError
from sealflow.trusted.keybroker.standby import Standby
from sealflow.trusted.port import FatalError
from sealflow.trusted.process import first_frame, load_identity, run_enclave
from sealflow.wire.frame_payloads import Fatal, KeyBrokerBoot, KeyBrokerReady, split_tick
from sealflow.wire.frames import FrameKind

if TYPE_CHECKING:
    from sealflow.trusted.keybroker.leader import KeyBroker
    from sealflow.trusted.port import EventJournal, FramePort


def serve(port: FramePort, journal: EventJournal) -> None:
    """Answer frames until the host closes the pipe, as standby first and as leader after LEAD.

    Raises: FatalError with BOOT when the first frame is not a valid BOOT frame, with FRAME for a
    frame of a kind that a key broker does not take.
    """
    try:
        boot = KeyBrokerBoot.from_bytes(first_frame(port))
    except MalformedError as error:
        raise FatalError(Fatal.BOOT) from error
    identity = load_identity(Role.KEY_BROKER, boot.deployment, boot.platform, port)
    standby = Standby(identity, boot.now_ms, port.send, journal, boot.wrapped)
    ready = KeyBrokerReady(
        instance=identity.instance, simulated=identity.simulated, keyed=standby.has_state_key
    )
    port.send(FrameKind.READY, ready.to_bytes())
    instance: Standby | KeyBroker = standby
    while (frame := port.receive()) is not None:
        kind, payload = frame
        if kind is FrameKind.TICK:
            instance.advance(split_tick(payload)[0])
        elif kind is FrameKind.CONTROL:
            port.send(FrameKind.CONTROL, instance.answer(payload))
        elif kind is FrameKind.LEAD and instance is standby:
            now_ms, state = split_tick(payload)
            standby.advance(now_ms)
            instance = standby.lead(state)
        elif kind is FrameKind.COLLATERAL:
            if identity.collateral.replace(bytes(payload)):
                instance.renew_evidence()
        else:
            raise FatalError(Fatal.FRAME)


if __name__ == "__main__":
    run_enclave(serve)
