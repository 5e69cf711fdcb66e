"""Core, pure: the state that an SGX enclave was started in; no policy can allow another.

MRENCLAVE covers none of it. Source: Intel SDM volume 3D, section 36.7 (SECS) and chapter 40.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealflow.attest.mismatch import bits, equal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sealflow.attest.reports import SgxReport
    from sealflow.errors import Mismatch

_DEBUG: Final = 0x02
_MUST: Final = 0x05
"""INIT and MODE64BIT."""
_MAY: Final = 0x04C0
"""CET, KSS and AEXNOTIFY; not DEBUG, PROVISION_KEY, EINITTOKEN_KEY nor anything reserved."""
_XFRM_MUST: Final = 0x03
_XFRM_MAY: Final = 0x061AFC
"""AVX, MPX, AVX-512, PKRU, CET and AMX."""
_MISC_MAY: Final = 0x03
"""EXINFO and CPINFO."""
_NO_CONFIG: Final = "00" * 64


def check_sgx(report: SgxReport) -> Iterator[Mismatch]:
    """Judge attributes, extended features, MISCSELECT and CONFIGID."""
    hint = "a debug enclave" if report.attributes & _DEBUG else "not a production enclave"
    yield from bits("attributes", _MUST, _MAY, report.attributes, hint)
    yield from bits(
        "xfrm", _XFRM_MUST, _XFRM_MAY, report.xfrm, "processor features that are not known"
    )
    yield from bits(
        "misc_select", 0, _MISC_MAY, report.misc_select, "an enclave state that is not known"
    )
    yield from equal(
        "config_id",
        "",
        f"{_NO_CONFIG} svn 0",
        f"{report.config_id} svn {report.config_svn}",
        "the host gave the enclave a configuration that nobody measured",
    )
