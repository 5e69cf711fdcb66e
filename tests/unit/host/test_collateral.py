"""Collateral from real web servers, which serve what was recorded, or misbehave."""

from __future__ import annotations

import ipaddress
import json
import secrets
import ssl
from base64 import b64decode, b64encode
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sealflow.attest.dcap import verify_quote
from sealflow.attest.snp.verifying import verify_report
from sealflow.attest.wanted import wanted_collateral
from sealflow.errors import ConfigError, MalformedError, UnavailableError
from sealflow.host.collateral.der import unverified_crl, unverified_span
from sealflow.host.collateral.source import CollateralConfig, CollateralSource
from sealflow.host.collateral.want import parse_want
from sealflow.host.config import load
from sealflow.host.engine.config import EngineConfig
from tests.sim.pccs import WebServer, pccs_answers
from tests.sim.snp_authority import CHIP, SnpAuthority, snp_authority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from http.server import BaseHTTPRequestHandler

DATA = Path(__file__).parents[2] / "data" / "attestation"
QUOTES: dict[str, Any] = json.loads((DATA / "index.json").read_text())["quotes"]
NAME = "tdx-v4-uptodate.quote"
AT_S = QUOTES[NAME]["verify_at"]
QUOTE = (DATA / NAME).read_bytes()
RECORDED = (DATA / QUOTES[NAME]["collateral"]).read_bytes()
WANT = wanted_collateral(QUOTE)
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


@pytest.fixture
def pccs() -> Iterator[WebServer]:
    """A PCCS with the recorded collateral of one platform."""
    with WebServer(pccs_answers(RECORDED, "tdx", "b0c06f000000", "platform")) as server:
        yield server


def source(
    tmp_path: Path, url: str | None, clock: Clock | None = None, **changes: Any
) -> CollateralSource:
    """A source with a cache of its own."""
    settings: dict[str, Any] = {"pccs_url": url, "timeout_s": 5.0, **changes}
    config = CollateralConfig(cache_dir=str(tmp_path / "cache"), **settings)
    return CollateralSource(config, clock or Clock(AT_S))


def refused(tmp_path: Path, pccs: WebServer, **changes: Any) -> str:
    """Ask for what cannot be had and give the error's text."""
    with pytest.raises(UnavailableError) as caught:
        source(tmp_path, pccs.url, **changes).get(WANT)
    return str(caught.value)


@pytest.mark.parametrize("name", [name for name in QUOTES if "nomatching" not in name])
def test_recorded(tmp_path: Path, name: str) -> None:
    """What is fetched for a real quote is, byte for byte, what verifies it."""
    entry = QUOTES[name]
    recorded = (DATA / entry["collateral"]).read_bytes()
    quote = (DATA / name).read_bytes()
    tee, fmspc, ca = entry["tee"].lower(), entry["fmspc"].lower(), entry["pck_ca"]
    want = wanted_collateral(quote)
    assert json.loads(want) == {"tee": tee, "fmspc": fmspc, "ca": ca}
    with WebServer(pccs_answers(recorded, tee, fmspc, ca)) as server:
        fetched = source(tmp_path, server.url, Clock(entry["verify_at"])).get(want)
    assert json.loads(fetched) == json.loads(recorded)
    if entry["expect"]["verdict"] != "rejected":
        verify_quote(quote, fetched, None, entry["verify_at"])


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


def test_cache(tmp_path: Path, pccs: WebServer) -> None:
    """Collateral is fetched once, kept on disk, and fetched anew when half of its time is gone."""
    clock = Clock(AT_S - 10 * 86_400)
    first = source(tmp_path, pccs.url, clock).get(WANT)
    assert len(pccs.calls) == 4
    # Another process of the machine finds the same.
    other = source(tmp_path, pccs.url, clock)
    assert other.get(WANT) == first
    assert len(pccs.calls) == 4
    clock.now_s = AT_S + 10 * 86_400
    assert other.get(WANT) == first
    assert len(pccs.calls) == 8


def test_away(tmp_path: Path, pccs: WebServer) -> None:
    """While the server is away the cache serves until its end; then the error says all of it."""
    clock = Clock(AT_S + 86_400)
    first = source(tmp_path, pccs.url, clock).get(WANT)
    url = pccs.url
    pccs.stop()
    later = source(tmp_path, url, clock)
    assert later.get(WANT) == first
    end_s = datetime.fromisoformat("2025-07-19T10:00:35+00:00").timestamp()
    clock.now_s = end_s - 1
    assert later.get(WANT) == first
    clock.now_s = end_s
    with pytest.raises(UnavailableError, match="ended on 2025-07-19 10:00 UTC") as caught:
        later.get(WANT)
    assert url in str(caught.value)


def test_never_there(tmp_path: Path, pccs: WebServer) -> None:
    """Without cache and server the error names the address."""
    url = pccs.url
    pccs.stop()
    with pytest.raises(UnavailableError, match=f"no collateral: {url}"):
        source(tmp_path, url).get(WANT)


def test_pause(tmp_path: Path, pccs: WebServer) -> None:
    """A server that fails is left alone for a minute, and the same error is given."""
    clock = Clock(AT_S)
    answer = pccs.answers.pop(TCB_PATH)
    asked = source(tmp_path, pccs.url, clock)
    for _ in range(3):
        with pytest.raises(UnavailableError, match="404"):
            asked.get(WANT)
    assert pccs.calls == [TCB_PATH]
    pccs.answers[TCB_PATH] = answer
    clock.now_s += 61
    assert asked.get(WANT)


@pytest.mark.parametrize("path", [TCB_PATH, QE_PATH, CRL_PATH, ROOT_PATH])
@pytest.mark.parametrize("status", [301, 404, 429, 500, 503])
def test_statuses(tmp_path: Path, pccs: WebServer, path: str, status: int) -> None:
    """Any status but 200 is an error that names the address."""
    pccs.answers[path] = (status, {"Location": "http://127.0.0.1:1/"}, b"{}")
    message = refused(tmp_path, pccs)
    assert str(status) in message
    assert path in message


@pytest.mark.parametrize("path", [TCB_PATH, QE_PATH, CRL_PATH, ROOT_PATH])
@pytest.mark.parametrize("body", [b"<html>Sign in</html>", b"", b"{}", b"\xff\xfe", b"[" * 99_999])
def test_html(tmp_path: Path, pccs: WebServer, path: str, body: bytes) -> None:
    """A page of a proxy, or anything else that is no collateral, is an error with a hint."""
    _, headers, _ = pccs.answers[path]
    pccs.answers[path] = (200, headers, body)
    message = refused(tmp_path, pccs)
    assert "is this address a PCCS of version 4?" in message
    assert path in message
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("path", [TCB_PATH, QE_PATH, CRL_PATH])
def test_missing_chains(tmp_path: Path, pccs: WebServer, path: str) -> None:
    """An answer without the chain in its headers is an error that names the header."""
    status, _, body = pccs.answers[path]
    pccs.answers[path] = (status, {}, body)
    assert "issuer-chain" in refused(tmp_path, pccs) or "crl-issuer" in refused(tmp_path, pccs)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"issueDate":"20', '"issueDate":"x'),
        lambda text: text.replace('"nextUpdate"', '"nextupdate"'),
        lambda text: text[:-40] + '"}',
        lambda text: text.replace('{"tcbInfo":{', '{"tcbInfo":[{'),
    ],
)
def test_broken_info(tmp_path: Path, pccs: WebServer, change: Callable[[str], str]) -> None:
    """TCB info without dates or signature is refused before it is cached."""
    status, headers, body = pccs.answers[TCB_PATH]
    pccs.answers[TCB_PATH] = (status, headers, change(body.decode()).encode())
    assert "tcbInfo" in refused(tmp_path, pccs)


def test_oversized(tmp_path: Path, pccs: WebServer) -> None:
    """An answer without an end is not read to it."""

    def flood(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        try:
            while True:
                request.wfile.write(b"x" * 65536)
        except OSError:
            return

    pccs.behave = flood
    assert "over 262144 bytes" in refused(tmp_path, pccs)


@pytest.mark.parametrize("part", ["nothing", "head", "body"])
def test_slow(tmp_path: Path, pccs: WebServer, part: str) -> None:
    """A server that drips is given up after the time for the whole answer."""

    def drip(request: BaseHTTPRequestHandler) -> None:
        pieces = {
            "nothing": b"",
            "head": b"HTTP/1.1 200 OK\r\n",
            "body": b"HTTP/1.1 200 OK\r\n\r\n",
        }
        try:
            request.wfile.write(pieces[part])
            while not pccs.released.wait(0.02):
                if part != "nothing":
                    request.wfile.write(b"X-a: b\r\n" if part == "head" else b"x")
        except OSError:
            return

    pccs.behave = drip
    assert "longer than 0.3 s" in refused(tmp_path, pccs, timeout_s=0.3)


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


def test_hang_up(tmp_path: Path, pccs: WebServer) -> None:
    """A server that hangs up or speaks no HTTP is an error that names the address."""
    pccs.behave = lambda _: None
    assert pccs.url in refused(tmp_path / "1", pccs)

    def speak(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"SSH-2.0-OpenSSH\r\n")

    pccs.behave = speak
    assert pccs.url in refused(tmp_path / "2", pccs)


def test_old_answers(tmp_path: Path, pccs: WebServer) -> None:
    """What has expired on the server itself is no collateral."""
    clock = Clock(AT_S + 400 * 86_400)
    assert "out of date" in refused(tmp_path, pccs, clock=clock)


def test_lagging_mirror(tmp_path: Path, pccs: WebServer) -> None:
    """An answer that ends earlier than what is cached does not replace it."""
    clock = Clock(AT_S + 10 * 86_400)
    first = source(tmp_path, pccs.url, clock).get(WANT)
    status, headers, body = pccs.answers[TCB_PATH]
    older = body.replace(b'"nextUpdate":"2025-07-19T', b'"nextUpdate":"2025-07-18T')
    assert older != body
    pccs.answers[TCB_PATH] = (status, headers, older)
    assert source(tmp_path, pccs.url, clock).get(WANT) == first


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"x" * (3 * 2**20), b'{"collateral":"","issued_s":"a","expires_s":1}']
)
def test_broken_cache(tmp_path: Path, pccs: WebServer, content: bytes) -> None:
    """A cache file that cannot be read is fetched anew."""
    first = source(tmp_path, pccs.url).get(WANT)
    (path,) = (tmp_path / "cache").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(content)
    assert source(tmp_path, pccs.url).get(WANT) == first
    assert len(pccs.calls) == 8


def test_unwritable_cache(tmp_path: Path, pccs: WebServer) -> None:
    """Where the cache cannot be written the collateral is given all the same."""
    asked = source(tmp_path, pccs.url)
    (tmp_path / "cache").rmdir()
    (tmp_path / "cache").write_bytes(b"")
    assert json.loads(asked.get(WANT)) == json.loads(RECORDED)


@pytest.mark.parametrize(
    "changes",
    [
        {"pccs_url": "pccs.example"},
        {"pccs_url": "ftp://pccs.example"},
        {"pccs_url": "https://pccs.example:x"},
        {"pccs_url": "https://pccs.example", "ca_file": "missing.pem"},
        {"vlek_file": "missing.der"},
        {"vlek_file": "/dev/null"},
        {"cache_dir": "/dev/null/cache"},
    ],
)
def test_settings(tmp_path: Path, changes: dict[str, str]) -> None:
    """Settings that cannot work are said at once."""
    settings = {"cache_dir": str(tmp_path), **changes}
    with pytest.raises(ConfigError):
        CollateralSource(CollateralConfig(**settings))  # type: ignore[arg-type]  # by name


def test_no_servers(tmp_path: Path) -> None:
    """A question for which no server is set names the setting."""
    with pytest.raises(UnavailableError, match="set pccs_url"):
        source(tmp_path, None).get(WANT)
    with pytest.raises(UnavailableError, match="set kds_url"):
        source(tmp_path, None).get(wanted_collateral(snp_authority(AT_S).report()))


@pytest.mark.parametrize(
    "want",
    [
        {"tee": "sgx", "fmspc": "../../etc/ab", "ca": "platform"},
        {"tee": "sgx", "fmspc": "B0C06F000000", "ca": "platform"},
        {"tee": "sgx", "fmspc": 5, "ca": "platform"},
        {"tee": "sgx", "fmspc": "b0c06f000000", "ca": "other"},
        {"tee": "sev", "fmspc": "b0c06f000000", "ca": "platform"},
        {"tee": "sgx", "fmspc": "b0c06f000000"},
        {"tee": "snp", "product": "Rome", "leaf": "vcek", "chip_id": "", "tcb": {}},
        {"tee": "snp", "product": "", "leaf": "ark", "chip_id": "", "tcb": {}},
        {"tee": "snp", "product": "", "leaf": "vcek", "chip_id": "00", "tcb": {}},
        {"tee": "snp", "product": "", "leaf": "vcek", "chip_id": "", "tcb": {"snp": 256}},
        {"tee": "snp", "product": "", "leaf": "vcek", "chip_id": "", "tcb": {"x&y": 1}},
        {"tee": "snp", "product": "", "leaf": "vcek", "chip_id": "", "tcb": []},
    ],
)
def test_questions(want: dict[str, object]) -> None:
    """A question that would make another address than it should is refused."""
    with pytest.raises(MalformedError):
        parse_want(json.dumps(want).encode())


def amd_answers(amd: SnpAuthority, line: str, leaf_path: str, kind: str = "vcek") -> dict[str, Any]:
    """What AMD's service answers about one processor."""
    parts = amd.endorsements()
    pem = b"".join(
        x509.load_der_x509_certificate(each).public_bytes(Encoding.PEM)
        for each in (parts.intermediate, parts.root)
    )
    base = f"/{kind}/v1/{line}"
    return {
        base + leaf_path: (200, {}, parts.leaf),
        f"{base}/cert_chain": (200, {}, pem),
        f"{base}/crl": (200, {}, amd.crl()),
    }


@pytest.mark.parametrize(
    ("product", "line", "cpu", "path"),
    [
        (
            "Milan-B0",
            "Milan",
            (0x19, 1),
            f"/{CHIP.hex()}?blSPL=03&teeSPL=01&snpSPL=08&ucodeSPL=200",
        ),
        (
            "Genoa-B1",
            "Genoa",
            (0x19, 0x11),
            f"/{CHIP.hex()}?blSPL=03&teeSPL=01&snpSPL=08&ucodeSPL=200",
        ),
        (
            "Turin-B0",
            "Turin",
            (0x1A, 2),
            f"/{CHIP.hex()[:16]}?fmcSPL=01&blSPL=03&teeSPL=01&snpSPL=08&ucodeSPL=200",
        ),
    ],
)
def test_amd(tmp_path: Path, product: str, line: str, cpu: tuple[int, int], path: str) -> None:
    """What is fetched for a report verifies it, for all lines of processors."""
    tcb = {"bootloader": 3, "tee": 1, "snp": 8, "microcode": 200}
    chip = CHIP
    if line == "Turin":
        tcb, chip = {"fmc": 1, **tcb}, CHIP[:8]
    amd = snp_authority(AT_S, product=product, tcb=tuple(tcb.items()), chip=chip)
    report = amd.report(cpu=cpu)
    want = wanted_collateral(report)
    with WebServer(amd_answers(amd, line, path)) as server:
        fetched = source(tmp_path, None, kds_url=server.url).get(want)
    genuine = verify_report(report, fetched, amd.root(), AT_S)
    assert genuine.report.measurement == "11" * 48


def test_amd_without_names(tmp_path: Path) -> None:
    """Reports of version 2 do not name their processor: the operator must."""
    amd = snp_authority(AT_S)
    report = amd.report(version=2)
    path = f"/{CHIP.hex()}?blSPL=03&teeSPL=01&snpSPL=08&ucodeSPL=200"
    with WebServer(amd_answers(amd, "Milan", path)) as server:
        with pytest.raises(UnavailableError, match="amd_product"):
            source(tmp_path / "1", None, kds_url=server.url).get(wanted_collateral(report))
        named = source(tmp_path / "2", None, kds_url=server.url, amd_product="Milan")
        fetched = named.get(wanted_collateral(report))
    verify_report(report, fetched, amd.root(), AT_S)
    unknown = json.loads(wanted_collateral(amd.report(cpu=(0x17, 1))))
    assert unknown["product"] == ""


def test_vlek(tmp_path: Path) -> None:
    """A cloud's certificate comes from a file, for AMD hands it to nobody else."""
    amd = snp_authority(AT_S, vlek=True)
    report = amd.report(cpu=(0x19, 1))
    file = tmp_path / "vlek.der"
    file.write_bytes(amd.endorsements().leaf)
    with WebServer(amd_answers(amd, "Milan", "/none", "vlek")) as server:
        with pytest.raises(UnavailableError, match="vlek_file"):
            source(tmp_path / "1", None, kds_url=server.url).get(wanted_collateral(report))
        named = source(tmp_path / "2", None, kds_url=server.url, vlek_file=str(file))
        fetched = named.get(wanted_collateral(report))
    verify_report(report, fetched, amd.root(), AT_S)


def test_hidden_chips(tmp_path: Path) -> None:
    """A processor that hides its chip id cannot be asked about."""
    want = wanted_collateral(snp_authority(AT_S).report(mask_chip=True, cpu=(0x19, 1)))
    with WebServer({}) as server, pytest.raises(UnavailableError, match="hides its chip id"):
        source(tmp_path, None, kds_url=server.url).get(want)


@pytest.mark.parametrize("name", ["cert_chain", "crl"])
def test_broken_amd(tmp_path: Path, name: str) -> None:
    """A page of a proxy in place of AMD's answer is an error with a hint."""
    amd = snp_authority(AT_S)
    report = amd.report(cpu=(0x19, 1))
    path = f"/{CHIP.hex()}?blSPL=03&teeSPL=01&snpSPL=08&ucodeSPL=200"
    answers = amd_answers(amd, "Milan", path)
    answers[f"/vcek/v1/Milan/{name}"] = (200, {}, b"<html></html>")
    with WebServer(answers) as server, pytest.raises(UnavailableError, match="AMD's service"):
        source(tmp_path, None, kds_url=server.url).get(wanted_collateral(report))


def test_spans() -> None:
    """The dates of a list are those that a full parser reads, whatever its form of time."""
    amd = snp_authority(int(datetime(2049, 12, 30, tzinfo=UTC).timestamp()))
    for der in (amd.crl(days=1), amd.crl(days=40), bytes.fromhex(json.loads(RECORDED)["pck_crl"])):
        crl = x509.load_der_x509_crl(der)
        assert crl.next_update_utc is not None
        span = (crl.last_update_utc.timestamp(), crl.next_update_utc.timestamp())
        assert unverified_span(der) == span


@pytest.mark.parametrize("length", range(0, 200, 7))
def test_cut_lists(length: int) -> None:
    """A list that ends too early has no dates."""
    der = bytes.fromhex(json.loads(RECORDED)["pck_crl"])[:length]
    with pytest.raises(MalformedError):
        unverified_span(der)


def test_lists_without_end() -> None:
    """A list that does not say when it ends has no dates; base64 and hex must be whole."""
    for text in (b"-----BEGIN X509 CRL-----\nA\n-----END X509 CRL-----", b"abc", b"zz"):
        with pytest.raises(MalformedError):
            unverified_crl(text)
    der = snp_authority(AT_S).crl()
    crl = x509.load_der_x509_crl(der)
    without = crl.tbs_certlist_bytes
    assert b64decode(b64encode(without)) == without
    with pytest.raises(MalformedError):
        unverified_span(without)


def test_first_lists() -> None:
    """A list of version 1, which says no version, has dates too."""

    def value(tag: int, *content: bytes) -> bytes:
        whole = b"".join(content)
        return bytes([tag, len(whole)]) + whole

    times = (value(0x17, b"260101000000Z"), value(0x17, b"260201000000Z"))
    inner = value(0x30, value(0x30, b""), value(0x30, b""), *times)
    first, last = unverified_span(value(0x30, inner))
    assert last - first == 31 * 86_400
    with pytest.raises(MalformedError):
        unverified_span(value(0x30, value(0x30, value(0x30, b""), value(0x30, b""), b"\x0c\0")))


def test_settings_file(tmp_path: Path) -> None:
    """The table of a process's settings file is read as one."""
    path = tmp_path / "engine.toml"
    path.write_text(
        'deployment = "d"\ndeployment_file = "d.json"\npackages_dir = "p"\n'
        'broker_url = "redis://127.0.0.1:1"\n'
        '[collateral]\ncache_dir = "c"\npccs_url = "https://pccs.example:8081"\n'
    )
    found = load(path, EngineConfig).collateral
    assert found == CollateralConfig(cache_dir="c", pccs_url="https://pccs.example:8081")
    path.write_text(path.read_text() + "pcs = 1\n")
    with pytest.raises(ConfigError, match="pcs"):
        load(path, EngineConfig)
