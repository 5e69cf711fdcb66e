"""Core: signed and encrypted model packages. Spec: docs/spec/bundle.md, sections 1 and 5.

`SFB1` ‖ length ‖ DSSE envelope ‖ length ‖ wrapped content key ‖ every file, encrypted, in the
statement's order. `Package.open_files` compares each file with its signed digest before it returns
the file, so no parser sees other bytes.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sealflow.errors import BundleError, MalformedError, OpenError
from sealflow.package.manifest import MANIFEST_NAME, ModelManifest
from sealflow.package.statement import (
    MAX_STATEMENT_BYTES,
    Statement,
    encode_envelope,
    sign_statement,
    statement_digest,
    unverified_decode_envelope,
    verify_statement,
)
from sealflow.seal.chunked import KEY_BYTES, chunked_length, open_chunked, seal_chunked
from sealflow.wire.domain import length_prefixed, read_length_prefixed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sealflow.seal.keys import OpeningKey, SealingKey
    from sealflow.wire.domain import TrustDomain

MAGIC: Final = b"SFB1"
MAX_WRAPPED_KEY_BYTES: Final = 4096

# The largest statement in base64, and 1024 bytes for the other fields of the DSSE envelope.
_MAX_ENVELOPE_BYTES: Final = MAX_STATEMENT_BYTES * 4 // 3 + 1024
_PIECE_BYTES: Final = 64 * 1024


def seal_package(
    manifest: ModelManifest,
    files: Mapping[str, bytes],
    *,
    signing: Ed25519PrivateKey,
    sealing: SealingKey,
    progress: Callable[[int], object] | None = None,
) -> bytes:
    """Return the package of a manifest and its files, encrypted with a new random content key.

    `signing`: the owner's key that signs the statement. `sealing`: the owner's public key that the
    content key is wrapped to; its trust domain becomes that of the package. `progress`: called with
    the number of bytes encrypted since its last call.

    Raises: BundleError if `files` are not exactly the manifest's files, or over a limit.
    """
    domain = sealing.suite.domain
    content_key = os.urandom(KEY_BYTES)
    statement = Statement.describe(manifest, files, content_key_id(content_key, domain))
    payload = statement.to_bytes()
    if len(payload) > MAX_STATEMENT_BYTES:
        msg = f"the statement is over {MAX_STATEMENT_BYTES} bytes: shorten the manifest"
        raise BundleError(msg)
    signer = signing.public_key().public_bytes_raw().hex()
    envelope = encode_envelope(payload, sign_statement(payload, signing), signer)
    digest = statement_digest(payload)
    wrapped = sealing.seal(content_key, _wrapping_info(domain, digest))
    pieces = [MAGIC, length_prefixed(envelope, wrapped)]
    contents = {**files, MANIFEST_NAME: manifest.to_bytes()}
    for file in statement.files:
        key, context = _file_key(domain, content_key, digest, wrapped, file.name)
        pieces.append(seal_chunked(key, context, _in_pieces(contents[file.name], progress)))
    return b"".join(pieces)


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package with a verified signature; its files are still encrypted."""

    statement: Statement
    payload: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    digest: str
    signer: str
    _wrapped: bytes = field(repr=False)
    _sealed: Mapping[str, memoryview] = field(repr=False)

    @property
    def manifest(self) -> ModelManifest:
        """The manifest in the verified statement."""
        return self.statement.manifest

    def unwrap(self, key: OpeningKey) -> bytes:
        """Return the content key, unwrapped with the private key of the package's owner.

        Raises: OpenError for any other key.
        """
        content_key = key.open(self._wrapped, _wrapping_info(key.suite.domain, self.digest))
        self._check_key(content_key, key.suite.domain)
        return content_key

    def open_files(self, content_key: bytes, domain: TrustDomain) -> dict[str, bytes]:
        """Return all files of the manifest by name, decrypted and equal to their signed digests.

        Memory: one copy of all files, in addition to the package.

        Raises: OpenError for a wrong content key or changed ciphertext, BundleError for a wrong
        digest.
        """
        self._check_key(content_key, domain)
        files = {}
        for file in self.statement.files:
            key, context = _file_key(domain, content_key, self.digest, self._wrapped, file.name)
            content = open_chunked(key, context, self._sealed[file.name])
            if hashlib.sha256(content).hexdigest() != file.digest:
                msg = f"package: {file.name} does not have the signed digest"
                raise BundleError(msg)
            files[file.name] = content
        del files[MANIFEST_NAME]
        return files

    def _check_key(self, content_key: bytes, domain: TrustDomain) -> None:
        expected = self.statement.content_key_id
        if not hmac.compare_digest(content_key_id(content_key, domain), expected):
            raise OpenError


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedPackage:
    """A parsed package. Its content is untrusted until `verify` returns."""

    unverified_statement: Statement
    unverified_signer: str
    digest: str
    _payload: bytes = field(repr=False)
    _signature: bytes = field(repr=False)
    _wrapped: bytes = field(repr=False)
    _sealed: Mapping[str, memoryview] = field(repr=False)

    def verify(self, signer: str, *, digest: str | None = None) -> Package:
        """Return the package if `signer` signed its statement, and its digest is `digest` if given.

        `signer`: the expected Ed25519 public key in hex, from a source other than the package.

        Raises: BundleError.
        """
        if digest not in (None, self.digest) or signer != self.unverified_signer:
            msg = "package: it has another digest or another signer than expected"
            raise BundleError(msg)
        return Package(
            statement=verify_statement(self._payload, self._signature, signer),
            payload=self._payload,
            signature=self._signature,
            digest=self.digest,
            signer=signer,
            _wrapped=self._wrapped,
            _sealed=self._sealed,
        )

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview) -> Self:
        """Parse a package without copying or decrypting its files.

        `data`: the result refers to it, so it must not change while the result is in use.

        Raises: BundleError.
        """
        view = memoryview(data)
        if bytes(view[: len(MAGIC)]) != MAGIC:
            msg = "package: it does not start with SFB1"
            raise BundleError(msg)
        try:
            envelope, rest = read_length_prefixed(view[len(MAGIC) :], _MAX_ENVELOPE_BYTES)
            wrapped, rest = read_length_prefixed(rest, MAX_WRAPPED_KEY_BYTES)
        except MalformedError as error:
            raise BundleError(f"package: {error}") from error
        payload, signature, signer = unverified_decode_envelope(bytes(envelope))
        statement = Statement.unverified_from_bytes(payload)
        lengths = [chunked_length(file.size) for file in statement.files]
        if sum(lengths) != len(rest):
            msg = "package: its length is not the one that the statement's file sizes add up to"
            raise BundleError(msg)
        sealed = {}
        for file, length in zip(statement.files, lengths, strict=True):
            sealed[file.name], rest = rest[:length], rest[length:]
        return cls(
            unverified_statement=statement,
            unverified_signer=signer,
            digest=statement_digest(payload),
            _payload=payload,
            _signature=signature,
            _wrapped=bytes(wrapped),
            _sealed=sealed,
        )


def content_key_id(content_key: bytes, domain: TrustDomain) -> str:
    """Return the hash, in hex, that commits to a random content key. Spec: bundle.md, 4.5."""
    return hashlib.sha256(domain.label("bundle content key") + content_key).hexdigest()


def _file_key(
    domain: TrustDomain, content_key: bytes, digest: str, wrapped: bytes, name: str
) -> tuple[bytes, bytes]:
    # The wrapped key is bound too, so that a change of any byte of the package is detected.
    bound = length_prefixed(bytes.fromhex(digest), hashlib.sha256(wrapped).digest(), name.encode())
    context = hashlib.sha256(domain.label("bundle file context") + bound).digest()
    info = domain.label("bundle file key") + context
    key = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(content_key)
    return key, context


def _wrapping_info(domain: TrustDomain, digest: str) -> bytes:
    return domain.label("bundle owner key") + length_prefixed(bytes.fromhex(digest))


def _in_pieces(content: bytes, progress: Callable[[int], object] | None) -> Iterator[memoryview]:
    view = memoryview(content)
    for at in range(0, len(view), _PIECE_BYTES):
        piece = view[at : at + _PIECE_BYTES]
        yield piece
        if progress is not None:
            progress(len(piece))
