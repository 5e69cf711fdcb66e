"""Collateral from real web servers that serve what was recorded."""

from __future__ import annotations

import json
import secrets
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from sealflow.attest.intel.verify import verify_intel_quote
from sealflow.trusted.identity.identity import collateral_request
from tests.support.attestation.collateral_sources import (
    CRL_PATH,
    DATA,
    QUOTES,
    RECORDED,
    TCB_PATH,
    WANT,
    Clock,
    source,
)
from tests.support.attestation.pccs_answers import pccs_answers
from tests.support.network.web_server import WebServer

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", [name for name in QUOTES if "nomatching" not in name])
def test_recorded(tmp_path: Path, name: str) -> None:
    """What is fetched for a real quote is, byte for byte, what verifies it."""
    entry = QUOTES[name]
    recorded = (DATA / entry["collateral"]).read_bytes()
    quote = (DATA / name).read_bytes()
    tee, fmspc, ca = entry["tee"].lower(), entry["fmspc"].lower(), entry["pck_ca"]
    want = collateral_request(quote)
    assert json.loads(want) == {"tee": tee, "fmspc": fmspc, "ca": ca}
    with WebServer(pccs_answers(recorded, tee, fmspc, ca)) as server:
        fetched = source(tmp_path, server.url, Clock(entry["verify_at"])).get(want)
    assert json.loads(fetched) == json.loads(recorded)
    if entry["expect"]["verdict"] != "rejected":
        verify_intel_quote(quote, fetched, None, entry["verify_at"])


def test_whole_address(tmp_path: Path, pccs: WebServer) -> None:
    """The address may be the one that quoting libraries are given, with its path."""
    url = f"{pccs.url}/sgx/certification/v4/"
    assert json.loads(source(tmp_path, url).get(WANT)) == json.loads(RECORDED)


def test_forms(tmp_path: Path, pccs: WebServer) -> None:
    """Revocation lists in DER, PEM and hex, and the older name of a header, are all read."""
    status, headers, der = pccs.answers[CRL_PATH]
    pem = b"-----BEGIN X509 CRL-----\n" + b64encode(der) + b"\n-----END X509 CRL-----\n"
    _, tcb_headers, tcb = pccs.answers[TCB_PATH]
    older = {"SGX-TCB-Info-Issuer-Chain": tcb_headers["TCB-Info-Issuer-Chain"]}
    pccs.answers[TCB_PATH] = (200, older, tcb)
    for form in (der, pem, der.hex().encode()):
        pccs.answers[CRL_PATH] = (status, headers, form)
        folder = tmp_path / secrets.token_hex(4)
        assert json.loads(source(folder, pccs.url).get(WANT)) == json.loads(RECORDED)
