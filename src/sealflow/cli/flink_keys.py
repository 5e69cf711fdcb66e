"""CLI: the key and certificate of a Flink cluster on one machine, as Java and Python read them.

One self-signed pair is shown by both ends of every connection, and is all that either believes.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sealflow.cli.home import write_whole
from sealflow.errors import ConfigError
from sealflow.host.engine.flink_cluster import LOOPBACK, FlinkTls
from sealflow.host.engine.flink_rest import ClientTls

if TYPE_CHECKING:
    from pathlib import Path

_RSA_BITS: Final = 3072
_EXPONENT: Final = 65537
_LIFE: Final = dt.timedelta(days=365)
_RENEW: Final = dt.timedelta(days=30)
_ALIAS: Final = b"flink"


@dataclass(frozen=True, slots=True)
class FlinkKeys:
    """A folder with `flink.p12`, `trust.p12`, `password`, `flink.crt`, `flink.key`."""

    folder: Path

    @property
    def password_file(self) -> Path:
        """The password of both stores."""
        return self.folder / "password"

    @property
    def cluster(self) -> FlinkTls:
        """What Flink's processes need.

        Raises: ConfigError for keys that Flink cannot use.
        """
        password = _read(self.password_file).decode().strip()
        check_rsa(self.folder / "flink.p12", password)
        return FlinkTls(
            keystore=self.folder / "flink.p12",
            truststore=self.folder / "trust.p12",
            password=password,
        )

    @property
    def client(self) -> ClientTls:
        """What a client of the REST interface needs."""
        return ClientTls(
            ca=self.folder / "flink.crt",
            certificate=self.folder / "flink.crt",
            key=self.folder / "flink.key",
        )

    def make(self) -> None:
        """Make what is missing or about to expire.

        Raises: ConfigError.
        """
        certificate = self.folder / "flink.crt"
        now = dt.datetime.now(dt.UTC)
        if certificate.exists():
            old = x509.load_pem_x509_certificate(_read(certificate))
            if old.not_valid_after_utc > now + _RENEW:
                return
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{self.folder}: cannot make the folder: {error.strerror}") from error
        key = rsa.generate_private_key(_EXPONENT, _RSA_BITS)
        issued = _self_signed(key, now)
        password = secrets.token_hex(32)
        encryption = serialization.BestAvailableEncryption(password.encode())
        trusted = pkcs12.PKCS12Certificate(issued, _ALIAS)
        pem = serialization.Encoding.PEM
        files = {
            "password": password.encode() + b"\n",
            "flink.p12": pkcs12.serialize_key_and_certificates(
                _ALIAS, key, issued, None, encryption
            ),
            "trust.p12": pkcs12.serialize_java_truststore([trusted], encryption),
            "flink.key": key.private_bytes(
                pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            "flink.crt": issued.public_bytes(pem),
        }
        for name, content in files.items():
            write_whole(self.folder / name, content)


def check_rsa(keystore: Path, password: str) -> None:
    """Refuse a keystore that Flink cannot use.

    Raises: ConfigError.
    """
    try:
        key, _, _ = pkcs12.load_key_and_certificates(_read(keystore), password.encode())
    except ValueError as error:
        raise ConfigError(f"{keystore}: no PKCS12 store of that password") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        kind = "no key" if key is None else f"an {type(key).__name__.strip('_')}"
        raise ConfigError(
            f"{keystore} holds {kind}: Flink's cipher suites need an RSA key, of 3072 bits say"
        )


def _self_signed(key: rsa.RSAPrivateKey, now: dt.datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sealflow flink")])
    addresses = [x509.IPAddress(ipaddress.ip_address(LOOPBACK)), x509.DNSName("localhost")]
    uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
