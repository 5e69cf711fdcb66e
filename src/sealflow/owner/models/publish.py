"""Owner: publishes a package: uploads it, and sends its content key to a verified key broker.

Sans-I/O, except that it reads the package's file.
"""

from __future__ import annotations

import hashlib
import time
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealflow.clock import now_ms
from sealflow.errors import BundleError, ConfigError, UnavailableError
from sealflow.files import file_errors
from sealflow.owner.http.gateway_api import send_control_request
from sealflow.owner.http.steps import HttpRequest, Sleep, send, with_deadline
from sealflow.owner.models.owner_key import opening_key
from sealflow.owner.trust.directory_refresh import (
    PUBLICATION_TIMEOUT_S,
    approve_fresh_evidence,
    refresh,
)
from sealflow.package.container import UnverifiedPackage
from sealflow.package.publication import (
    PublicationOrder,
    requirements_digest,
    seal_publication,
)
from sealflow.seal.keys import SealingKey, parse_suite
from sealflow.wire.control import ErrorAnswer, error_of
from sealflow.wire.strict_json import is_integer

if TYPE_CHECKING:
    import os

    from sealflow.attest.requirements import Requirements
    from sealflow.owner.http.steps import Steps
    from sealflow.owner.models.owner_key import OwnerKey
    from sealflow.owner.trust.session import ServiceSession
    from sealflow.package.manifest import ModelManifest

UPLOAD_TIMEOUT_S: Final = 900.0
PUBLISH_TIMEOUT_S: Final = UPLOAD_TIMEOUT_S + 300.0
_PAUSE_S: Final = 0.25
_ATTEMPTS: Final = 8
_RETRIED_CODES: Final = ("not_opened", "unavailable", "none")
_NO_VERSION: Final = ErrorAnswer(code="none", detail="the answer has no directory version")
_STORED: Final = (200, 201)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedPublication:
    """The sealed content key of a package, for the key broker.

    The package itself is stored in the cluster under `digest`.
    """

    digest: str
    manifest: ModelManifest
    sealed: bytes = field(repr=False)


def prepare_publication(  # noqa: PLR0913 - what the owner says of one package
    package: bytes | memoryview,
    owner: OwnerKey,
    keybroker: SealingKey,
    *,
    deployment: str,
    log_id: str,
    counter: int | None = None,
    workers: Requirements | None = None,
    default: bool = True,
) -> SealedPublication:
    """Check that the owner made a package; sign the order, and seal the content key with it.

    `keybroker`: the key in evidence that the owner's policy approved, from no other source.
    `deployment`, `log_id`: for which the order counts. `counter`: higher than in all earlier orders
    of this owner; by default the time. `workers`: what workers must prove to get the content key,
    beyond the deployment's settings. `default`: whether it becomes the default of its name.

    Raises: BundleError when the package is not valid, OpenError when another owner made it,
        ConfigError when owner and key broker are of different trust domains.
    """
    domain = keybroker.suite.domain
    if domain is not owner.domain:
        raise ConfigError(
            f"the owner's key is of the {owner.domain.name.lower()} trust domain, the key broker "
            f"of the {domain.name.lower()} one: pack the model with a key of the same trust domain"
        )
    checked = UnverifiedPackage.from_bytes(package).verify(owner.signer)
    content_key = checked.unwrap(opening_key(owner))
    order = PublicationOrder(
        deployment=deployment,
        log_id=log_id,
        counter=now_ms() if counter is None else counter,
        digest=checked.digest,
        package_sha256=hashlib.sha256(package).hexdigest(),
        package_bytes=len(package),
        workers=None if workers is None else requirements_digest(workers),
        default=default,
        signer=owner.signer,
    )
    return SealedPublication(
        digest=checked.digest,
        manifest=checked.manifest,
        sealed=seal_publication(
            checked, content_key, keybroker, signing=owner.signing, order=order, workers=workers
        ),
    )


def publish(
    session: ServiceSession,
    package: bytes | str | os.PathLike[str],
    owner: OwnerKey,
    *,
    workers: Requirements | None = None,
) -> Steps[int]:
    """Verify the key broker, send it the sealed content key, and upload the package.

    The new version becomes the default of its name when its package is there. `package`: its bytes,
    or the path of its file. `workers`: see `prepare_publication`. Return the version of the
    directory that lists the model.

    Raises: VerificationError before the content key is sent; BundleError, ConfigError, OpenError,
        UnavailableError.
    """
    return with_deadline(PUBLISH_TIMEOUT_S, _publish(session, package, owner, workers))


def _publish(
    session: ServiceSession,
    package: bytes | str | os.PathLike[str],
    owner: OwnerKey,
    workers: Requirements | None,
) -> Steps[int]:
    yield from refresh(session)
    data = package if isinstance(package, bytes) else _read(Path(package))
    digest = UnverifiedPackage.from_bytes(data).verify(owner.signer).digest
    # Before the upload, so that a gateway takes no package that no owner's order names.
    version = yield from _send_content_key(session, data, owner, workers, default=False)
    yield from _await_version(session, version)
    answer = yield from send(
        HttpRequest(
            method="PUT",
            path=f"/v1/packages/{digest}",
            body=data,
            headers={"content-type": "application/octet-stream"},
            timeout_s=UPLOAD_TIMEOUT_S,
        )
    )
    if answer.status not in _STORED:
        detail = answer.body[:500].decode(errors="replace")
        raise UnavailableError(
            f"the gateway did not store the package (HTTP {answer.status}): {detail}"
        )
    version = yield from _send_content_key(session, data, owner, workers, default=True)
    yield from _await_version(session, version)
    return version


def _await_version(session: ServiceSession, version: int) -> Steps[None]:
    """Wait until the gateway serves a version; it caches the directory for 1 s."""
    until = time.monotonic() + PUBLICATION_TIMEOUT_S
    while (yield from refresh(session)).directory.version < version:
        if time.monotonic() >= until:
            raise UnavailableError(
                f"the key broker accepted the model, but directory version {version} does not "
                "appear: see sealflow model list"
            )
        yield Sleep(_PAUSE_S)


def _send_content_key(
    session: ServiceSession,
    data: bytes,
    owner: OwnerKey,
    workers: Requirements | None,
    *,
    default: bool,
) -> Steps[int]:
    """Send the order with the sealed content key; verify the key broker again for each attempt.

    Between attempts another key broker instance may become the leader. Return the version of the
    directory that lists the model.
    """
    for left in reversed(range(_ATTEMPTS)):
        keybroker = yield from _challenge(session)
        verified = session.verified or (yield from refresh(session))
        prepared = prepare_publication(
            data,
            owner,
            keybroker,
            deployment=verified.directory.deployment,
            log_id=verified.directory.log_id,
            workers=workers,
            default=default,
        )
        sealed = b64encode(prepared.sealed).decode()
        answer = yield from send_control_request({"op": "publish", "sealed": sealed})
        version = answer.get("version")
        if is_integer(version):
            return version
        error = error_of(answer) or _NO_VERSION
        code, detail = error.code, error.detail
        if code == "not_an_owner":
            raise ConfigError(f"the key broker does not accept models of this owner: {detail}")
        if code not in _RETRIED_CODES:
            raise BundleError(f"the key broker refused the model ({code}): {detail}")
        if left:
            yield Sleep(_PAUSE_S)
    raise UnavailableError(
        f"the key broker did not accept the content key in {_ATTEMPTS} attempts ({code}): "
        "publish again"
    )


def _challenge(session: ServiceSession) -> Steps[SealingKey]:
    """Get evidence from the key broker for a new nonce, appraise it, and return its sealing key.

    Raises: UnavailableError, MalformedError, EvidenceError, PolicyError.
    """
    approval = yield from approve_fresh_evidence(session)
    bound = approval.claims.bound
    return SealingKey(suite=parse_suite(bound.sealing_suite), public=bound.sealing_key)


def _read(path: Path) -> bytes:
    with file_errors(f"{path}: cannot read the package"):
        return path.read_bytes()
