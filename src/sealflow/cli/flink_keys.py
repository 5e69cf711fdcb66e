"""CLI: the keys of a Flink cluster, from a folder of `sealflow keys`. Guide: docs/guide/keys.md."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from sealflow.errors import ConfigError
from sealflow.host.engine.flink.rest import ClientTls
from sealflow.host.engine.flink.settings import TlsStores
from sealflow.host.engine.flink_cluster import FlinkTls
from sealflow.operator.components import COMPONENTS, Site
from sealflow.operator.key_folder import make, read_tree, rotate_certificates, write_tree

if TYPE_CHECKING:
    from pathlib import Path

_RENEW: Final = timedelta(days=30)
_FLINK: Final = ("jobmanager", "taskmanager", "rest", "submit")


@dataclass(frozen=True, slots=True)
class FlinkKeys:
    """A key folder of one machine, kept current."""

    folder: Path

    def make(self, deployment: str) -> None:
        """Make the folder if it is not there; give new certificates when the old ones end soon.

        Raises: ConfigError.
        """
        now = datetime.now(UTC)
        if not self.folder.exists():
            files = make(Site(deployment=deployment), now, kubernetes=False)
            write_tree(self.folder, files, replace=False)
            return
        files = read_tree(self.folder)
        certificate = files.get("keys/rest/tls.crt", b"")
        try:
            until = x509.load_pem_x509_certificates(certificate)[0].not_valid_after_utc
        except ValueError as error:
            raise ConfigError(f"{self.folder}: damaged; delete it to get new keys") from error
        if until < now + _RENEW:
            of_flink = [component for component in COMPONENTS if component.name in _FLINK]
            write_tree(self.folder, rotate_certificates(files, now, of_flink), replace=True)

    @property
    def cluster(self) -> FlinkTls:
        """What Flink's processes need.

        Raises: ConfigError for keys that Flink cannot use.
        """
        return FlinkTls(
            jobmanager=self._stores("jobmanager"),
            taskmanager=self._stores("taskmanager"),
            rest=self._stores("rest"),
        )

    @property
    def submit(self) -> Path:
        """The folder of what clients of the REST interface show."""
        return self.folder / "keys" / "submit"

    @property
    def submit_password(self) -> Path:
        """The password of the client's stores."""
        return self.folder / "password" / "submit" / "keystore"

    def _stores(self, component: str) -> TlsStores:
        folder = self.folder.absolute() / "keys" / component
        password = _read(self.folder / "password" / component / "keystore").decode()
        check_rsa(folder / "keystore.p12", password)
        return TlsStores(
            keystore=str(folder / "keystore.p12"),
            truststore=str(folder / "truststore.p12"),
            password=password,
        )


def client_tls(folder: Path) -> ClientTls:
    """What a client of REST reads from one component's folder, such as `keys/submit`."""
    return ClientTls(ca=folder / "ca.crt", certificate=folder / "tls.crt", key=folder / "tls.key")


def check_rsa(keystore: Path, password: str) -> None:
    """Refuse a keystore that Flink cannot use.

    Raises: ConfigError.
    """
    try:
        key, _, _ = pkcs12.load_key_and_certificates(_read(keystore), password.encode())
    except ValueError as error:
        raise ConfigError(
            f"{keystore} does not open with its password: take both from one run of `sealflow keys`"
        ) from error
    if not isinstance(key, rsa.RSAPrivateKey):
        kind = "no private key" if key is None else "a key that is not RSA"
        raise ConfigError(
            f"{keystore} holds {kind}: Flink's cipher suites need RSA; `sealflow keys make` makes "
            "such keys"
        )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
