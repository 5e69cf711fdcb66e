"""A recorded TDX platform, and sources of collateral with a cache and a clock of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sealflow.host.collateral.source import CollateralConfig, CollateralSource
from sealflow.trusted.identity.identity import collateral_request

DATA = Path(__file__).parents[2] / "data" / "attestation"
QUOTES: dict[str, Any] = json.loads((DATA / "index.json").read_text())["quotes"]
NAME = "tdx-v4-uptodate.quote"
AT_S = QUOTES[NAME]["verify_at"]
QUOTE = (DATA / NAME).read_bytes()
RECORDED = (DATA / QUOTES[NAME]["collateral"]).read_bytes()
WANT = collateral_request(QUOTE)
TCB_PATH = "/tdx/certification/v4/tcb?fmspc=b0c06f000000"
ROOT_PATH = "/sgx/certification/v4/rootcacrl"
CRL_PATH = "/sgx/certification/v4/pckcrl?ca=platform&encoding=der"
QE_PATH = "/tdx/certification/v4/qe/identity"


class Clock:
    """A time that tests set."""

    def __init__(self, now_s: float) -> None:
        """Begin at a time."""
        self.now_s = now_s

    def __call__(self) -> float:
        """Tell it."""
        return self.now_s


def source(
    tmp_path: Path, url: str | None, clock: Clock | None = None, **changes: Any
) -> CollateralSource:
    """A source with a cache of its own."""
    settings: dict[str, Any] = {"pccs_url": url, "timeout_s": 5.0, **changes}
    config = CollateralConfig(cache_dir=str(tmp_path / "cache"), **settings)
    return CollateralSource(config, clock or Clock(AT_S))
