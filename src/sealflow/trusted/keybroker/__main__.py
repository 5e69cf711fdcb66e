"""Key broker: the process. Frames in, frames out, one thread; ends when its input ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from sealflow.attest.evidence import MAX_COLLATERAL_BYTES, Role, decode_base64
from sealflow.errors import MalformedError
from sealflow.trusted.boot import first_frame, identify, run_enclave, split_tick
from sealflow.trusted.journal import Fatal, FatalError
from sealflow.trusted.keybroker.standby import MAX_SEALED_BYTES, Standby
from sealflow.wire.framing import FrameKind
from sealflow.wire.strict_json import canonical, is_integer, parse_object, require_keys

if TYPE_CHECKING:
    from sealflow.trusted.journal import Journal
    from sealflow.trusted.keybroker.serve import KeyBroker
    from sealflow.trusted.port import Port

_MAX_WRAPPED: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyBrokerBoot:
    """How this key broker was started. `wrapped`: the state's key, sealed for some machines."""

    deployment: bytes
    platform: bytes | None = field(repr=False)
    wrapped: tuple[bytes, ...]
    now_ms: int

    @classmethod
    def parse(cls, payload: memoryview) -> Self:
        """Read the payload of a BOOT frame.

        Raises: MalformedError.
        """
        value = parse_object(payload, "BOOT")
        require_keys(value, ("deployment", "simulated_platform", "state_keys", "now_ms"), "BOOT")
        platform, now_ms = value["simulated_platform"], value["now_ms"]
        wrapped = value["state_keys"]
        if not is_integer(now_ms) or now_ms < 0:
            raise MalformedError("BOOT: now_ms is not a time")
        if not isinstance(wrapped, list) or len(wrapped) > _MAX_WRAPPED:
            raise MalformedError(f"BOOT: state_keys are not a list of at most {_MAX_WRAPPED}")
        return cls(
            deployment=decode_base64(value["deployment"], MAX_COLLATERAL_BYTES, "deployment"),
            platform=None
            if platform is None
            else decode_base64(platform, MAX_COLLATERAL_BYTES, "simulated_platform"),
            wrapped=tuple(decode_base64(each, MAX_SEALED_BYTES, "state key") for each in wrapped),
            now_ms=now_ms,
        )


def serve(port: Port, journal: Journal) -> None:
    """Answer until the host closes the pipe.

    Raises: FatalError when the first frame is none that this code understands.
    """
    try:
        boot = KeyBrokerBoot.parse(first_frame(port))
    except MalformedError as error:
        raise FatalError(Fatal.BOOT) from error
    identity = identify(Role.KEY_BROKER, boot.deployment, boot.platform, port)
    standby = Standby(identity, boot.now_ms, port.send, journal, boot.wrapped)
    ready = {
        "instance": identity.instance,
        "simulated": identity.simulated,
        "keyed": standby.keyed,
    }
    port.send(FrameKind.READY, canonical(ready))
    part: Standby | KeyBroker = standby
    while (frame := port.receive()) is not None:
        kind, payload = frame
        if kind is FrameKind.TICK:
            part.advance(split_tick(payload)[0])
        elif kind is FrameKind.CONTROL:
            port.send(FrameKind.CONTROL, part.answer(payload))
        elif kind is FrameKind.LEAD and part is standby:
            now_ms, state = split_tick(payload)
            standby.advance(now_ms)
            part = standby.lead(state)
        elif kind is FrameKind.COLLATERAL:
            if identity.collateral.renew(bytes(payload)):
                part.renew_evidence()
        else:
            raise FatalError(Fatal.FRAME)


if __name__ == "__main__":
    run_enclave(serve)
