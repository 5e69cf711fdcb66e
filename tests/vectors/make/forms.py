"""Values that break the forms of fields, and objects with one such field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

name: Final = ("", "-a", "a-", "a b", "a" * 65, "é", "a/b", 7, None)
digest: Final = ("ab" * 31, "ab" * 33, "AB" * 32, "0x" + "ab" * 31, "", 7, None)
identity: Final = ("0f" * 15, "0f" * 17, "0F" * 16, "", 7, None)
KID: Final = ("ab" * 32, "sim-" + "AB" * 32, "sim-" + "ab" * 31, "sim_" + "ab" * 32, "", 7, None)
time_ms: Final = (-1, 2**53, "1", 1.5, True, None)


def field_faults(
    value: Mapping[str, Any],
    forms: Mapping[str, Sequence[Any]],
    *,
    nullable: Sequence[str] = (),
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield a title and the object for each missing key and each value that is not its form.

    `nullable`: keys that may be null.
    """
    for key, wrong in forms.items():
        yield f"no {key}", {each: got for each, got in value.items() if each != key}
        for number, bent in enumerate(wrong, 1):
            if bent is None and key in nullable:
                continue
            yield f"{key}: form {number}", {**value, key: bent}
