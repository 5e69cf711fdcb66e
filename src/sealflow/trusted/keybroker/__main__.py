"""Key broker: the process; it answers frames until its standard input ends.

A second thread brings keys and directory up to the time also when the host says nothing.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from sealflow.attest.evidence import Role
from sealflow.errors import MalformedError
from sealflow.trusted.clock import EnclaveClock
from sealflow.trusted.confinement import confine
from sealflow.trusted.keybroker.standby import Standby
from sealflow.trusted.port import FatalError
from sealflow.trusted.process import first_frame, load_identity, run_enclave
from sealflow.wire.frame_payloads import Fatal, KeyBrokerBoot, KeyBrokerReady, split_tick
from sealflow.wire.frames import FrameKind

if TYPE_CHECKING:
    from sealflow.trusted.keybroker.leader import KeyBroker
    from sealflow.trusted.port import EventJournal, FramePort

_LOOK_S: Final = 1.0


def serve(port: FramePort, journal: EventJournal) -> None:
    """Answer frames until the host closes the pipe, as standby first and as leader after LEAD.

    Raises: FatalError with BOOT when the first frame is not a valid BOOT frame, with FRAME for a
    frame of a kind that a key broker does not take.
    """
    try:
        boot = KeyBrokerBoot.from_bytes(first_frame(port))
    except MalformedError as error:
        raise FatalError(Fatal.BOOT) from error
    clock = EnclaveClock(boot.now_ms)
    identity = load_identity(Role.KEY_BROKER, boot.deployment, boot.platform, port)
    confine(identity.deployment.tee)
    standby = Standby(identity, boot.now_ms, port.send, journal, boot.wrapped)
    ready = KeyBrokerReady(
        instance=identity.instance, simulated=identity.simulated, keyed=standby.has_state_key
    )
    port.send(FrameKind.READY, ready.to_bytes())
    instance: Standby | KeyBroker = standby
    turn, ended = threading.Lock(), threading.Event()

    def keep_time() -> None:
        while not ended.wait(_LOOK_S):
            with turn:
                instance.advance(clock.now_ms)

    threading.Thread(target=keep_time, name="clock", daemon=True).start()
    while (frame := port.receive()) is not None:
        kind, payload = frame
        with turn:
            if kind is FrameKind.TICK:
                instance.advance(clock.advance(split_tick(payload)[0]))
            elif kind is FrameKind.CONTROL:
                instance.advance(clock.now_ms)
                port.send(FrameKind.CONTROL, instance.answer(payload))
            elif kind is FrameKind.LEAD and instance is standby:
                now_ms, state = split_tick(payload)
                standby.advance(clock.advance(now_ms))
                instance = standby.lead(state)
                clock.count_from(instance.now_ms)
            elif kind is FrameKind.COLLATERAL:
                if identity.collateral.replace(bytes(payload)):
                    instance.renew_evidence()
            else:
                raise FatalError(Fatal.FRAME)
    ended.set()


if __name__ == "__main__":
    run_enclave(serve)
