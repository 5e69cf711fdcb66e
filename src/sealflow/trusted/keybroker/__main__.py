"""Key broker: the process. Frames in, frames out, one thread; ends when its input ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sealflow.attest.evidence import MAX_COLLATERAL_BYTES, Role, decode_base64
from sealflow.errors import MalformedError
from sealflow.trusted.boot import first_frame, identify, run_enclave, split_tick
from sealflow.trusted.journal import Fatal, FatalError
from sealflow.trusted.keybroker.serve import KeyBroker
from sealflow.wire.framing import FrameKind
from sealflow.wire.strict_json import canonical, is_integer, parse_object, require_keys

if TYPE_CHECKING:
    from sealflow.trusted.journal import Journal
    from sealflow.trusted.port import Port


def _parse_boot(payload: memoryview) -> tuple[bytes, bytes | None, int]:
    value = parse_object(payload, "BOOT")
    require_keys(value, ("deployment", "simulated_platform", "now_ms"), "BOOT")
    platform, now_ms = value["simulated_platform"], value["now_ms"]
    if not is_integer(now_ms) or now_ms < 0:
        raise MalformedError("BOOT: now_ms is not a time")
    return (
        decode_base64(value["deployment"], MAX_COLLATERAL_BYTES, "deployment"),
        None
        if platform is None
        else decode_base64(platform, MAX_COLLATERAL_BYTES, "simulated_platform"),
        now_ms,
    )


def serve(port: Port, journal: Journal) -> None:
    """Answer until the host closes the pipe."""
    try:
        deployment, platform, now_ms = _parse_boot(first_frame(port))
    except MalformedError as error:
        raise FatalError(Fatal.BOOT) from error
    identity = identify(Role.KEY_BROKER, deployment, platform)
    keybroker = KeyBroker(
        identity,
        now_ms,
        publish=lambda document: port.send(FrameKind.DIRECTORY, document),
        journal=journal,
    )
    ready = {"instance": identity.instance, "simulated": identity.simulated}
    port.send(FrameKind.READY, canonical(ready))
    while (frame := port.receive()) is not None:
        kind, payload = frame
        if kind is FrameKind.TICK:
            keybroker.advance(split_tick(payload)[0])
        elif kind is FrameKind.CONTROL:
            port.send(FrameKind.CONTROL, keybroker.answer(payload))
        else:
            raise FatalError(Fatal.FRAME)


if __name__ == "__main__":
    run_enclave(serve)
