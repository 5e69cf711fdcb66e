"""A PCCS that is reached by TLS."""

from __future__ import annotations

import ipaddress
import json
import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sealflow.errors import UnavailableError
from tests.support.attestation.collateral_sources import RECORDED, WANT, source
from tests.support.attestation.pccs_answers import pccs_answers
from tests.support.network.web_server import WebServer

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's context with a certificate of its own, and the file to trust it by."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pccs")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, SHA256())
    )
    file = tmp_path / "pccs.pem"
    file.write_bytes(
        certificate.public_bytes(Encoding.PEM)
        + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context, file


def test_tls(tmp_path: Path, tls: tuple[ssl.SSLContext, Path]) -> None:
    """A PCCS with a certificate of its own is asked when its file is named, and only then."""
    context, file = tls
    answers = pccs_answers(RECORDED, "tdx", "b0c06f000000", "platform")
    with WebServer(answers, context) as server:
        trusting = source(tmp_path / "1", server.url, ca_file=str(file))
        assert json.loads(trusting.get(WANT)) == json.loads(RECORDED)
        with pytest.raises(UnavailableError, match="CERTIFICATE_VERIFY_FAILED"):
            source(tmp_path / "2", server.url).get(WANT)

        def drip(request: BaseHTTPRequestHandler) -> None:
            request.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            with suppress(OSError):
                while not server.released.wait(0.02):
                    request.wfile.write(b"x")

        server.behave = drip
        slow = source(tmp_path / "3", server.url, ca_file=str(file), timeout_s=0.4)
        with pytest.raises(UnavailableError, match=r"longer than 0\.4 s"):
            slow.get(WANT)
