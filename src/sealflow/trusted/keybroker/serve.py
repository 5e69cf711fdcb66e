"""Key broker: answers the control requests of workers and owners. Spec: keybroker.md, section 2."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Final

from sealflow.attest.evidence import Evidence, decode_base64
from sealflow.errors import (
    BundleError,
    EvidenceError,
    MalformedError,
    OpenError,
    PolicyError,
    RefusedError,
)
from sealflow.seal.directory import SignedDirectory
from sealflow.seal.publishing import open_publication
from sealflow.trusted.journal import Event
from sealflow.trusted.keybroker.release import Release
from sealflow.trusted.keybroker.vault import Vault, VersionTakenError
from sealflow.wire.strict_json import canonical, parse_object, require_keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from sealflow.trusted.journal import Journal
    from sealflow.trusted.quoting import Identity

MAX_REQUEST_BYTES: Final = 2**20


class KeyBroker:
    """One key broker. Every answer is JSON; errors have a code of a closed list and a sentence."""

    def __init__(
        self,
        identity: Identity,
        now_ms: int,
        *,
        publish: Callable[[bytes], object],
        journal: Journal,
    ) -> None:
        """Start with new keys and without models; `publish` is given each new directory."""
        self._identity = identity
        self._vault = Vault(identity.deployment, now_ms)
        self._release = Release(identity, self._vault)
        self._evidence = identity.evidence()
        self._publish = publish
        self._journal = journal
        # Counting on from the time keeps versions growing over restarts, which lose all state.
        self._version = now_ms // 1000
        self._directory = self._issue(None)

    def advance(self, now_ms: int) -> None:
        """Move time on: turn epochs, renew the directory at half of its life."""
        changed = self._vault.advance(now_ms)
        life_ms = 1000 * self._identity.deployment.directory_s
        if changed or self._vault.now_ms >= self._issued_ms + life_ms // 2:
            self._reissue()

    def answer(self, request: bytes | memoryview) -> bytes:
        """Answer one request; never raises for anything that a peer can send."""
        try:
            return canonical(self._answer(request))
        except _Problem as problem:
            return canonical({"error": {"code": problem.code, "detail": problem.detail}})

    def _answer(self, request: bytes | memoryview) -> dict[str, object]:
        if len(request) > MAX_REQUEST_BYTES:
            raise _Problem("too_large", f"requests are at most {MAX_REQUEST_BYTES} bytes")
        try:
            value = parse_object(request, "control request")
            match value.get("op"):
                case "describe":
                    return self._describe(value)
                case "challenge":
                    return self._challenge(value)
                case "enroll":
                    return self._enroll(value)
                case "publish":
                    return self._take_publication(value)
                case _:
                    raise _Problem("unknown_op", "op is describe, challenge, enroll or publish")
        except MalformedError as error:
            raise _Problem("malformed", str(error)) from error

    def _describe(self, value: dict[str, object]) -> dict[str, object]:
        require_keys(value, ("op",), "describe")
        return parse_object(self._directory.encode(), "published directory")

    def _challenge(self, value: dict[str, object]) -> dict[str, object]:
        require_keys(value, ("op",), "challenge")
        challenge, nonce = self._release.challenge()
        return {"challenge": challenge, "nonce": nonce}

    def _enroll(self, value: dict[str, object]) -> dict[str, object]:
        require_keys(value, ("op", "challenge", "evidence"), "enroll")
        evidence = Evidence.from_json(value["evidence"])
        try:
            sealed, signature = self._release.enroll(
                str(value["challenge"]), evidence, self._version
            )
        except KeyError as error:
            raise _Problem("unknown_challenge", "ask for a new challenge") from error
        except EvidenceError as error:
            self._journal.note(Event.WORKER_REFUSED)
            raise _Problem("evidence", str(error)) from error
        except PolicyError as error:
            self._journal.note(Event.WORKER_REFUSED)
            raise _Problem("policy", str(error)) from error
        self._journal.note(Event.WORKER_APPROVED)
        return {"grant": b64encode(sealed).decode(), "signature": b64encode(signature).decode()}

    def _take_publication(self, value: dict[str, object]) -> dict[str, object]:
        require_keys(value, ("op", "sealed"), "publish")
        sealed = decode_base64(value["sealed"], MAX_REQUEST_BYTES, "sealed")
        try:
            publication = open_publication(sealed, self._identity.opening)
        except OpenError as error:
            detail = "the publication does not open: it was sealed to another key broker"
            raise self._refused("not_opened", detail) from error
        except BundleError as error:
            raise self._refused("malformed", str(error)) from error
        if publication.signer not in self._identity.deployment.owners:
            detail = f"{publication.signer} is no owner of this deployment"
            raise self._refused("not_an_owner", detail)
        try:
            added = self._vault.publish(publication)
        except VersionTakenError as error:
            ref = publication.statement.manifest.ref
            detail = f"{ref} is another package already: publish it under a new version"
            raise self._refused("version_taken", detail) from error
        except RefusedError as error:
            raise self._refused("full", "no more models fit") from error
        if added:
            self._reissue()
            self._journal.note(Event.PUBLISHED, digest=publication.digest)
        return {"version": self._version, "digest": publication.digest}

    def _refused(self, code: str, detail: str) -> _Problem:
        self._journal.note(Event.PUBLICATION_REFUSED)
        return _Problem(code, detail)

    def _reissue(self) -> None:
        self._version += 1
        self._directory = self._issue(self._directory.digest)

    def _issue(self, previous: str | None) -> SignedDirectory:
        directory = self._vault.directory(self._version, previous)
        self._issued_ms = directory.issued_ms
        world = self._identity.deployment.tee.world
        signed = SignedDirectory.sign(directory, self._identity.signing, world, self._evidence)
        self._publish(signed.encode())
        return signed


class _Problem(Exception):  # noqa: N818 - becomes an answer
    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
