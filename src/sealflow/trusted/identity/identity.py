"""Trusted: who this enclave is: its keys, its evidence, the collateral that it needs.

The platform key keeps state on the host's disk: on SGX the processor derives it from the
measurement; in a simulation it comes from the simulated platform, which the host has, so it
protects nothing. Spec: attestation.md, section 6.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import dcap_qvl
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sealflow import __version__
from sealflow.attest.amd.report import PRODUCTS, SNP_REPORT_BYTES, UnverifiedReport, product_line
from sealflow.attest.evidence import BoundClaims, Evidence, Role, Tee, report_data
from sealflow.attest.intel.quote import split_quote
from sealflow.errors import MalformedError, UnavailableError
from sealflow.seal.keys import OpeningKey, Suite
from sealflow.trusted.identity.hardware_quotes import GramineQuoter, TsmQuoter
from sealflow.trusted.port import FatalError
from sealflow.wire.frame_payloads import Fatal
from sealflow.wire.frames import MAX_COLLATERAL_BYTES
from sealflow.wire.ids import RequestId, new_request_id
from sealflow.wire.strict_json import canonical_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealflow.attest.deployment import Deployment
    from sealflow.trusted.identity.hardware_quotes import QuoteSource


GRAMINE_KEY: Final = Path("/dev/attestation/keys/_sgx_mrenclave")
"""Source: Gramine documentation, attestation and secret provisioning, low-level interface."""
_SGX_KEY_BYTES: Final = 16
_PLATFORM_KEY_BYTES: Final = 32
NO_NONCE: Final = "00" * 32
_KEY_BYTES: Final = 32


def wanted_collateral(quote: bytes) -> bytes:
    """Write the question to the host, as JSON.

    Raises: MalformedError when the quote does not say which machine made it.
    """
    if len(quote) == SNP_REPORT_BYTES:
        return _amd(UnverifiedReport.from_bytes(quote))
    parts = split_quote(quote)
    try:
        parsed = dcap_qvl.parse_quote(quote)
        fmspc, ca = parsed.fmspc(), parsed.ca()
    except ValueError as error:
        raise MalformedError(f"quote: it brings no PCK certificate: {error}") from error
    tee = Tee.TDX if parts.tdx else Tee.SGX
    return canonical_json({"tee": tee.value, "fmspc": fmspc.lower(), "ca": ca})


def _amd(report: UnverifiedReport) -> bytes:
    line = product_line(report.cpu)
    # Reports that do not name the processor are older than Turin.
    product = next((each for each in PRODUCTS if each.name == line), PRODUCTS[0])
    return canonical_json(
        {
            "tee": Tee.SNP.value,
            "product": line,
            "leaf": report.leaf.value,
            "chip_id": (report.chip_id or b"").hex(),
            "tcb": product.read_tcb(report.reported_tcb),
        }
    )


def sgx_platform_key(deployment_digest: str, path: Path = GRAMINE_KEY) -> bytes:
    """Derive 32 bytes from the processor's sealing key for this MRENCLAVE.

    Raises: FatalError when Gramine offers none.
    """
    try:
        secret = path.read_bytes()
    except OSError as error:
        raise FatalError(Fatal.TEE) from error
    if len(secret) != _SGX_KEY_BYTES:
        raise FatalError(Fatal.TEE)
    return platform_key(secret, b"", deployment_digest)


def platform_key(secret: bytes, measurement: bytes, deployment_digest: str) -> bytes:
    """Derive the key of one measurement and one deployment's settings from a machine's secret."""
    info = b"sealflow platform key\0" + measurement + bytes.fromhex(deployment_digest)
    return HKDF(algorithm=SHA256(), length=_PLATFORM_KEY_BYTES, salt=None, info=info).derive(secret)


class CurrentCollateral:
    """What verifiers need beside this enclave's quotes; the host brings newer now and then."""

    def __init__(self, content: bytes) -> None:
        """Begin with what there is."""
        self.content = content

    def replace(self, content: bytes) -> bool:
        """Take newer collateral, unless it is none; says whether it did. Verifiers judge it."""
        if not 0 < len(content) <= MAX_COLLATERAL_BYTES:
            return False
        self.content = content
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class EnclaveIdentity:
    """One enclave instance: its keys and how it proves that they are its own."""

    instance: RequestId
    role: Role
    deployment: Deployment
    opening: OpeningKey
    signing: Ed25519PrivateKey = field(repr=False)
    platform_key: bytes = field(repr=False)
    """32 bytes that only the same code under the same settings gets on this machine; where the
    hardware has no such key, drawn anew in each process."""
    collateral: CurrentCollateral = field(repr=False)
    _quoter: QuoteSource = field(repr=False)

    @property
    def simulated(self) -> bool:
        """Whether no hardware guards the keys."""
        return self.deployment.tee is Tee.SIMULATED

    def evidence(self, nonce: str = NO_NONCE) -> Evidence:
        """Prove keys, settings and code, to a verifier that gave a nonce or to everybody.

        Raises: UnavailableError when the hardware's quoting service does not answer.
        """
        bound, quote = self._quote(nonce)
        return Evidence(
            tee=self.deployment.tee, quote=quote, bound=bound, collateral=self.collateral.content
        )

    def published_evidence(self) -> Evidence:
        """Prove the same to everybody, once: without it this process can be of no use.

        Raises: FatalError when the hardware's quoting service does not answer.
        """
        try:
            return self.evidence()
        except UnavailableError as error:
            raise FatalError(Fatal.QUOTE) from error

    def wanted(self) -> bytes:
        """Make a quote to find out which collateral goes with this machine's.

        Raises: UnavailableError, MalformedError.
        """
        return wanted_collateral(self._quote(NO_NONCE)[1])

    def _quote(self, nonce: str) -> tuple[bytes, bytes]:
        bound = BoundClaims(
            role=self.role,
            tee=self.deployment.tee,
            deployment=self.deployment.name,
            instance=self.instance,
            nonce=nonce,
            manifest_digest=self.deployment.digest,
            sealing_suite=self.opening.suite,
            sealing_key=self.opening.sealing.public,
            signing_key=self.signing.public_key().public_bytes_raw(),
            software=__version__,
        ).to_bytes()
        data = report_data(bound, self.role, self.deployment.tee.domain)
        return bound, self._quoter.quote(data)


def create_identity(
    role: Role,
    deployment: Deployment,
    platform: bytes | None,
    signing: Ed25519PrivateKey,
    fetch: Callable[[bytes], bytes],
    hardware: Callable[[Deployment], tuple[QuoteSource, bytes]] | None = None,
) -> EnclaveIdentity:
    """Draw an instance's keys and find out how it can quote.

    `fetch`: asks the host for collateral. `hardware`: what plays `detect_hardware` in tests alone.

    Raises: FatalError when the deployment's TEE is not here, or gives no quote, or the host has no
    collateral for it.
    """
    if (deployment.tee is Tee.SIMULATED) != (platform is not None):
        raise FatalError(Fatal.TEE)
    if platform is not None:
        source, key, content = _simulated(role, deployment, platform)
    else:
        (source, key), content = (hardware or detect_hardware)(deployment), b""
    identity = EnclaveIdentity(
        instance=new_request_id(),
        role=role,
        deployment=deployment,
        opening=OpeningKey.generate(Suite.for_domain(deployment.tee.domain)),
        signing=signing,
        platform_key=key,
        collateral=CurrentCollateral(content),
        _quoter=source,
    )
    if platform is None:
        try:
            want = identity.wanted()
        except (UnavailableError, MalformedError) as error:
            raise FatalError(Fatal.QUOTE) from error
        if not identity.collateral.replace(fetch(want)):
            raise FatalError(Fatal.COLLATERAL)
    return identity


def detect_hardware(deployment: Deployment) -> tuple[QuoteSource, bytes]:
    """Find the source of quotes of this hardware, and the platform key.

    Raises: FatalError when it is not here.
    """
    if deployment.tee is Tee.SGX:
        return GramineQuoter(), sgx_platform_key(deployment.digest)
    return TsmQuoter(deployment.tee), secrets.token_bytes(_KEY_BYTES)


def _simulated(
    role: Role, deployment: Deployment, platform: bytes
) -> tuple[QuoteSource, bytes, bytes]:
    try:
        from sealflow.trusted.identity.simulated_quotes import SimulatedQuoter  # noqa: PLC0415
    except (ImportError, OSError) as error:
        # Images for hardware hold no simulation, and what a host adds there does not open.
        raise FatalError(Fatal.TEE) from error
    quoter = SimulatedQuoter(role, platform)
    key = platform_key(quoter.secret, quoter.measurement, deployment.digest)
    return quoter, key, quoter.collateral
