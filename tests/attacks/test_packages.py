"""Attacks with model packages: row 57 of docs/threat-model.md. A real key broker and worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from sealflow.errors import BundleError, RefusalCode
from sealflow.package.container import UnverifiedPackage, _file_key
from sealflow.seal.chunked import seal_chunked
from sealflow.wire.domain import TrustDomain
from tests.support.enclaves.hosted_enclaves import read_result
from tests.support.models import onnx_models
from tests.support.models.served_models import (
    SIGNER,
    make_loader,
    onnx_manifest,
    pack_model,
    read_example,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.enclaves.hosted_enclaves import HostedEnclaves
    from tests.support.models.served_models import PackedModel

FILES = {
    "model.onnx": onnx_models.elementwise("Neg", sizes=(None, 4)),
    "labels.txt": b"a\nb\nc\nd\n",
}


def labelled(files: Mapping[str, bytes] = FILES) -> PackedModel:
    """A package with a model and its labels."""
    return pack_model(onnx_manifest(labels="labels.txt"), files)


def sealed_files(package: bytes) -> dict[str, bytes]:
    """The encrypted files of a package, in their order."""
    return {
        name: bytes(view) for name, view in UnverifiedPackage.from_bytes(package)._sealed.items()
    }


def with_files(package: bytes, **changed: bytes) -> bytes:
    """The package with other bytes in the place of encrypted files."""
    files = sealed_files(package)
    head = package[: len(package) - sum(map(len, files.values()))]
    return head + b"".join((files | changed).values())


def refused(of: PackedModel, package: bytes) -> str:
    """Load in the place of a package what must not become a model; gives the error's text.

    No model runtime was even started, so nobody has parsed any of it.
    """
    loading = make_loader()
    with pytest.raises(BundleError) as caught:
        loading.load_package(
            bytearray(package), of.digest, SIGNER, of.content_key, TrustDomain.SIMULATED
        )
    assert not loading._runtimes
    return str(caught.value)


def test_57_older_package(site: HostedEnclaves) -> None:
    """A host that answers the wish for a new version with the old one gets no model loaded."""
    worker = site.worker()
    [old] = site.packages.values()
    newer = site.publish("m", version="2", operator="Abs")
    genuine, site.packages[newer] = site.packages[newer], old
    worker.tick()
    worker.await_event("package_damaged")
    call = site.call("m:2")
    assert worker.refusals(call.envelope, site.call("m:1").envelope) == [
        RefusalCode.UNKNOWN_MODEL,
        None,
    ]
    site.packages[newer] = genuine
    site.publish("other")
    worker.tick()
    worker.await_models(3)
    call = site.call("m:2")
    [reply] = worker.serve([call.envelope])
    np.testing.assert_array_equal(read_result(call, reply).outputs["y"], np.ones((1, 4)))


def test_57_other_package() -> None:
    """Another package of the same owner, and one that was changed or cut anywhere, is refused."""
    tiny, other = pack_model(*read_example("tiny")), labelled()
    refused(tiny, other.package)
    for at in range(0, len(tiny.package), max(1, len(tiny.package) // 200)):
        changed = bytearray(tiny.package)
        changed[at] ^= 1
        refused(tiny, bytes(changed))
    for cut in range(0, len(tiny.package), max(1, len(tiny.package) // 100)):
        refused(tiny, tiny.package[:cut])


def test_57_swapped_files() -> None:
    """A file of another package, of the same name and length, and of another name are refused."""
    one, two = labelled(), labelled()
    for name, content in sealed_files(two.package).items():
        assert "does not open" in refused(one, with_files(one.package, **{name: content}))
    twins = labelled(FILES | {"labels.txt": FILES["model.onnx"]})
    files = sealed_files(twins.package)
    swapped = {"labels.txt": files["model.onnx"], "model.onnx": files["labels.txt"]}
    assert "does not open" in refused(twins, with_files(twins.package, **swapped))


def test_57_late_difference() -> None:
    """What differs in its last byte only is refused before any of it is used.

    Encrypted bytes fail at the last tag; what was encrypted with the right key, at the digest.
    """
    weights = np.arange(40_000, dtype=np.float32)
    files = FILES | {"model.onnx": onnx_models.linear(weights.reshape(4, -1))}
    good = labelled(files)
    content = sealed_files(good.package)["model.onnx"]
    assert len(content) > 4 * 16 * 1024
    flipped = content[:-1] + bytes([content[-1] ^ 1])
    assert "does not open" in refused(good, with_files(good.package, **{"model.onnx": flipped}))
    wrapped = UnverifiedPackage.from_bytes(good.package)._wrapped
    key, context = _file_key(
        TrustDomain.SIMULATED, good.content_key, good.digest, wrapped, "model.onnx"
    )
    other = files["model.onnx"][:-1] + bytes([files["model.onnx"][-1] ^ 1])
    own = with_files(good.package, **{"model.onnx": seal_chunked(key, context, [other])})
    assert "does not have the signed digest" in refused(good, own)
