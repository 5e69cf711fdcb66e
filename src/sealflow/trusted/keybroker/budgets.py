"""Key broker, pure: the bytes that one owner's models may take of the directory and of the state.

Each owner has an equal share, so none can fill what all clients and workers read. Spec:
docs/spec/keybroker.md, 7.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sealflow.wire.strict_json import canonical_json

if TYPE_CHECKING:
    from collections.abc import Collection

    from sealflow.package.publication import Publication

MAX_SPEC_BYTES: Final = 16 * 1024
"""Of the tensors of one model, as the directory lists them."""
_DIRECTORY_BYTES: Final = 768 * 1024
"""The rest of a directory's 1 MiB is for 64 keys and 1,024 revocations."""
_STATE_BYTES: Final = 16 * 2**20
_LEAST_DIRECTORY_BYTES: Final = 2 * MAX_SPEC_BYTES
_LEAST_STATE_BYTES: Final = 512 * 1024


def problem_with_size(
    publication: Publication, published: Collection[Publication], owners: int
) -> str | None:
    """Return why a publication is too large beside what is published, or None if it is not.

    `owners`: the number of the deployment's owners.
    """
    size = _listed_bytes(publication)
    if size > MAX_SPEC_BYTES:
        return f"the model's inputs and outputs take {size} bytes, over {MAX_SPEC_BYTES}"
    ref = publication.statement.manifest.ref
    own = [
        publication,
        *(
            each
            for each in published
            if each.signer == publication.signer and each.statement.manifest.ref != ref
        ),
    ]
    others = [each for each in published if each.signer != publication.signer]
    listed = sum(map(_listed_bytes, own))
    stored = sum(map(_stored_bytes, own))
    if listed + sum(map(_listed_bytes, others)) > _DIRECTORY_BYTES:
        # Keys and revocations to come must always find room.
        return f"all owners' models would take over {_DIRECTORY_BYTES} bytes of the directory"
    for what, total, limit in (
        ("directory", listed, max(_DIRECTORY_BYTES // owners, _LEAST_DIRECTORY_BYTES)),
        ("state", stored, max(_STATE_BYTES // owners, _LEAST_STATE_BYTES)),
    ):
        if total > limit:
            return f"this owner's models would take {total} bytes of the {what}, over {limit}"
    return None


def _listed_bytes(publication: Publication) -> int:
    manifest = publication.statement.manifest
    specs = [spec.to_json() for spec in (*manifest.inputs, *manifest.outputs)]
    return len(canonical_json({"specs": specs})) + _MODEL_BYTES


def _stored_bytes(publication: Publication) -> int:
    workers = publication.workers
    demands = {} if workers is None else workers.to_json()
    return len(publication.statement.to_bytes()) + len(canonical_json(demands))


_MODEL_BYTES: Final = 512
"""Of a model in the directory without its tensors: names, digests and the JSON around them."""
