"""Host: AMD's certificates and revocation list from its key distribution service, or a mirror.

Source: AMD VCEK Certificate and KDS Interface Specification (publication 57230), chapter 4.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Final

from sealflow.errors import MalformedError, UnavailableError
from sealflow.host.collateral.der import unverified_crl, unverified_span
from sealflow.host.collateral.download import Fetched
from sealflow.wire.strict_json import canonical_json

if TYPE_CHECKING:
    from sealflow.host.collateral.download import Server
    from sealflow.wire.collateral_request import AmdCollateralRequest

_PARAMETERS: Final = {
    "fmc": "fmcSPL",
    "bootloader": "blSPL",
    "tee": "teeSPL",
    "snp": "snpSPL",
    "microcode": "ucodeSPL",
}
_TURIN_CHIP_DIGITS: Final = 16
_PEM: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*"
)
_CHAIN: Final = 2


def fetch_amd(
    server: Server, want: AmdCollateralRequest, *, product: str, vlek: bytes | None
) -> Fetched:
    """Fetch the leaf, the chain above it and the revocation list.

    `product`: for reports that do not name theirs; may be empty. `vlek`: the leaf in DER where a
    cloud holds the key, since AMD hands it to nobody else.

    Raises: UnavailableError that names the address and what is wrong there.
    """
    line = want.product or product
    if not line:
        raise UnavailableError("the report does not name its processor line: set amd_product")
    base = f"/{want.leaf}/v1/{line}"
    if want.leaf == "vlek":
        if vlek is None:
            raise UnavailableError("the report is signed with a cloud's VLEK: set vlek_file")
        leaf = vlek
    else:
        leaf = server.get(base + _leaf_path(want, line)).body
    path = f"{base}/cert_chain"
    try:
        chain = [base64.b64decode(each) for each in _PEM.findall(server.get(path).body)]
        if len(chain) != _CHAIN:
            raise MalformedError("not two certificates")  # noqa: TRY301
        path = f"{base}/crl"
        crl = unverified_crl(server.get(path).body)
        issued_s, expires_s = unverified_span(crl)
    except (MalformedError, ValueError) as error:
        raise UnavailableError(f"{server.url(path)}: {error}; is it AMD's service?") from error
    parts = {"leaf": leaf, "intermediate": chain[0], "root": chain[1], "crl": crl}
    return Fetched(
        collateral=canonical_json(
            {name: base64.b64encode(part).decode() for name, part in parts.items()}
        ),
        issued_s=issued_s,
        expires_s=expires_s,
    )


def _leaf_path(want: AmdCollateralRequest, line: str) -> str:
    if not want.chip_id:
        raise UnavailableError(
            "the processor hides its chip id, so that AMD cannot be asked for it"
        )
    chip = want.chip_id[:_TURIN_CHIP_DIGITS] if line == "Turin" else want.chip_id
    query = "&".join(
        f"{parameter}={want.tcb[name]:02d}"
        for name, parameter in _PARAMETERS.items()
        if name in want.tcb
    )
    return f"/{chip}?{query}"
