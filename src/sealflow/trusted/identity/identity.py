"""Trusted: creates the identity of an enclave instance: keys, evidence, collateral, platform key.

The platform key seals state that the host keeps on disk. On SGX it is derived from the processor's
sealing key for the enclave's measurement. In a simulation it is derived from the simulated
platform, which the host knows too, so it protects nothing. Spec: attestation.md, sections 6 and 7;
keybroker.md, 5.2.
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
from sealflow.attest.evidence import NO_NONCE, BoundClaims, Evidence, Role, Tee, report_data
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


def collateral_request(quote: bytes) -> bytes:
    """Return the collateral request for the machine that made `quote`, as canonical JSON.

    Raises: MalformedError when the bytes are not a quote, or a DCAP quote has no PCK certificate.
    """
    if len(quote) == SNP_REPORT_BYTES:
        return _amd_request(UnverifiedReport.from_bytes(quote))
    parts = split_quote(quote)
    try:
        parsed = dcap_qvl.parse_quote(quote)
        fmspc, ca = parsed.fmspc(), parsed.ca()
    except ValueError as error:
        raise MalformedError(f"quote: it contains no PCK certificate: {error}") from error
    tee = Tee.TDX if parts.tdx else Tee.SGX
    return canonical_json({"tee": tee.value, "fmspc": fmspc.lower(), "ca": ca})


def _amd_request(report: UnverifiedReport) -> bytes:
    line = product_line(report.cpu)
    # Reports before version 3 do not name the processor, and come from processors before Turin.
    # Those share one form of the TCB.
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
    """Return the 32-byte platform key, derived from the processor's sealing key for this MRENCLAVE.

    `path`: another file only in tests.

    Raises: FatalError with TEE when Gramine does not provide the sealing key.
    """
    try:
        secret = path.read_bytes()
    except OSError as error:
        raise FatalError(Fatal.TEE) from error
    if len(secret) != _SGX_KEY_BYTES:
        raise FatalError(Fatal.TEE)
    return platform_key(secret, b"", deployment_digest)


def platform_key(secret: bytes, measurement: bytes, deployment_digest: str) -> bytes:
    """Return the 32-byte key of one machine, measurement and deployment.

    `secret`: the machine's. `measurement`: empty when the secret depends on it already.
    `deployment_digest`: SHA-256 of the deployment's settings, in hex.
    """
    info = b"sealflow platform key\0" + measurement + bytes.fromhex(deployment_digest)
    return HKDF(algorithm=SHA256(), length=_PLATFORM_KEY_BYTES, salt=None, info=info).derive(secret)


class CurrentCollateral:
    """The newest collateral for this enclave's quotes, as sent by the host; not verified here."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def replace(self, content: bytes) -> bool:
        """Store newer collateral; return False if it is empty or over `MAX_COLLATERAL_BYTES`."""
        if not 0 < len(content) <= MAX_COLLATERAL_BYTES:
            return False
        self.content = content
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class EnclaveIdentity:
    """One enclave instance: its keys, and evidence that they are held by its code."""

    instance: RequestId
    role: Role
    deployment: Deployment
    private_key: OpeningKey
    signing: Ed25519PrivateKey = field(repr=False)
    platform_key: bytes = field(repr=False)
    """32 bytes. On SGX, only the same code with the same settings on the same machine gets them.
    On TDX and SEV-SNP they are random and differ in each process."""
    collateral: CurrentCollateral = field(repr=False)
    _quoter: QuoteSource = field(repr=False)

    @property
    def simulated(self) -> bool:
        """Whether the TEE is simulated, so that no hardware protects the keys."""
        return self.deployment.tee is Tee.SIMULATED

    def evidence(self, nonce: str = NO_NONCE, serves: str | None = None) -> Evidence:
        """Return evidence of this instance's keys, settings and code, with a new quote.

        `nonce`: the verifier's challenge, 64 hex digits; zeros for evidence to any verifier.
        `serves`: of a worker, the owner of the models that it may get.

        Raises: UnavailableError when the quoting service of the hardware does not answer.
        """
        bound, quote = self._quote(nonce, serves)
        return Evidence(
            tee=self.deployment.tee, quote=quote, bound=bound, collateral=self.collateral.content
        )

    def published_evidence(self) -> Evidence:
        """Return evidence without a nonce, for the directory.

        Raises: FatalError with QUOTE when the quoting service of the hardware does not answer.
        """
        try:
            return self.evidence()
        except UnavailableError as error:
            raise FatalError(Fatal.QUOTE) from error

    def wanted(self) -> bytes:
        """Return the collateral request for this machine, read from a new quote.

        Raises: UnavailableError when the quoting service of the hardware does not answer;
        MalformedError as `collateral_request`.
        """
        return collateral_request(self._quote(NO_NONCE)[1])

    def _quote(self, nonce: str, serves: str | None = None) -> tuple[bytes, bytes]:
        bound = BoundClaims(
            role=self.role,
            tee=self.deployment.tee,
            deployment=self.deployment.name,
            instance=self.instance,
            nonce=nonce,
            manifest_digest=self.deployment.digest,
            sealing_suite=self.private_key.suite,
            sealing_key=self.private_key.public_key.public,
            signing_key=self.signing.public_key().public_bytes_raw(),
            software=__version__,
            serves=serves,
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
    """Return a new instance's identity, with a new sealing key and a source of quotes.

    `platform`: the simulated platform, None on hardware. `fetch`: sends a collateral request to the
    host and returns its answer. `hardware`: replaces `detect_hardware`, only in tests.

    Raises: FatalError with TEE when this process is not in the deployment's TEE, or `platform` does
    not go with it; with NOT_DCAP as `GramineQuoter`; with QUOTE when the hardware returns no quote;
    with COLLATERAL when the host has no collateral for the machine.
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
        private_key=OpeningKey.generate(
            Suite.for_domain(deployment.tee.domain, deployment.suites[0])
        ),
        signing=signing,
        platform_key=key,
        collateral=CurrentCollateral(content),
        _quoter=source,
    )
    if platform is None:
        try:
            request = identity.wanted()
        except (UnavailableError, MalformedError) as error:
            raise FatalError(Fatal.QUOTE) from error
        if not identity.collateral.replace(fetch(request)):
            raise FatalError(Fatal.COLLATERAL)
    return identity


def detect_hardware(deployment: Deployment) -> tuple[QuoteSource, bytes]:
    """Return the quote source and the platform key of the deployment's TEE.

    Raises: FatalError when this process is not in that TEE.
    """
    if deployment.tee is Tee.SGX:
        return GramineQuoter(), sgx_platform_key(deployment.digest)
    return TsmQuoter(deployment.tee), secrets.token_bytes(_PLATFORM_KEY_BYTES)


def _simulated(
    role: Role, deployment: Deployment, platform: bytes
) -> tuple[QuoteSource, bytes, bytes]:
    try:
        from sealflow.trusted.identity.simulated_quotes import SimulatedQuoter  # noqa: PLC0415
    except (ImportError, OSError) as error:
        # Production images do not contain the simulation. Inside Gramine, a file that a host adds
        # to an image cannot be opened, as the manifest does not list its hash: OSError.
        raise FatalError(Fatal.TEE) from error
    quoter = SimulatedQuoter(role, platform)
    key = platform_key(quoter.secret, quoter.measurement, deployment.digest)
    return quoter, key, quoter.collateral
