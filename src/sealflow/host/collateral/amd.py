"""Host: fetch AMD's certificates and revocation list from its key distribution service (KDS).

Source: AMD VCEK Certificate and KDS Interface Specification (publication 57230), chapter 4.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Final

from sealflow.errors import MalformedError, UnavailableError
from sealflow.host.collateral.der import unverified_crl, unverified_span
from sealflow.host.collateral.download import FetchedCollateral
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
    server: Server, request: AmdCollateralRequest, *, product: str, vlek: bytes | None
) -> FetchedCollateral:
    """Fetch the VCEK or VLEK certificate, the two CA certificates and the revocation list.

    `product`: the processor line for reports that do not name theirs; may be empty. `vlek`: the
    VLEK certificate in DER; AMD gives it to the cloud provider only, so it cannot be fetched.

    Raises: UnavailableError that names the address and the reason.
    """
    line = request.product or product
    if not line:
        raise UnavailableError(
            "the report does not name its processor line: set amd_product to Milan, Genoa or Turin"
        )
    base = f"/{request.leaf}/v1/{line}"
    if request.leaf == "vlek":
        if vlek is None:
            raise UnavailableError(
                "the report is signed with a cloud provider's VLEK: set vlek_file"
            )
        leaf = vlek
    else:
        leaf = server.get(base + _leaf_path(request, line)).body
    path = f"{base}/cert_chain"
    try:
        chain = [base64.b64decode(each) for each in _PEM.findall(server.get(path).body)]
        if len(chain) != _CHAIN:
            raise MalformedError("the answer does not contain two certificates")  # noqa: TRY301
        path = f"{base}/crl"
        crl = unverified_crl(server.get(path).body)
        issued_s, expires_s = unverified_span(crl)
    except (MalformedError, ValueError) as error:
        raise UnavailableError(
            f"{server.url(path)}: {error}; is kds_url the address of AMD's KDS or a mirror?"
        ) from error
    parts = {"leaf": leaf, "intermediate": chain[0], "root": chain[1], "crl": crl}
    return FetchedCollateral(
        collateral=canonical_json(
            {name: base64.b64encode(part).decode() for name, part in parts.items()}
        ),
        issued_s=issued_s,
        expires_s=expires_s,
    )


def _leaf_path(request: AmdCollateralRequest, line: str) -> str:
    if not request.chip_id:
        raise UnavailableError(
            "the processor hides its chip id, so its certificate cannot be fetched: turn off the "
            "masking of the chip id on this machine"
        )
    chip = request.chip_id[:_TURIN_CHIP_DIGITS] if line == "Turin" else request.chip_id
    query = "&".join(
        f"{parameter}={request.tcb[name]:02d}"
        for name, parameter in _PARAMETERS.items()
        if name in request.tcb
    )
    return f"/{chip}?{query}"
