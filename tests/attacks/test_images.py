"""Attacks by image files that cost more than they weigh: rows 92 to 95 of docs/threat-model.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from sealflow.errors import InvalidInputError
from sealflow.openinfer.messages import InferRequest
from sealflow.openinfer.tensor import DataType, Tensor
from sealflow.package.preprocessing import ImagePreprocessing
from sealflow.seal.exchange import SessionSecrets, open_request
from sealflow.trusted.worker.images.preparation import MAX_PIXELS, ImagePreparation
from sealflow.trusted.worker.serving.batching import BatchQueue
from sealflow.trusted.worker.serving.preparation_queue import PreparationQueue
from sealflow.trusted.worker.serving.runner import ReplySender
from sealflow.trusted.worker.serving.tenants import TenantLedger
from sealflow.wire.envelope import Envelope
from tests.support.attestation.deployments import simulated_deployment
from tests.support.images.jpeg_files import (
    BASELINE,
    EXTENDED,
    FULL_COLOUR,
    GREY,
    HALF_COLOUR,
    PROGRESSIVE,
    Scan,
    blocks,
    huffman,
    jpeg,
    segment,
)
from tests.support.images.png_files import chunk, png, raw_rows
from tests.support.models import onnx_models
from tests.support.models.served_models import finish, load_model, tensor_specs
from tests.support.trusted.jobs import seal_request
from tests.support.trusted.recorded_port import RecordedPort
from tests.support.trusted.told_clock import told_clock
from tests.support.trusted.worker import (
    DEADLINE_MS,
    KEY,
    NOW_MS,
    SESSION,
    Worker,
    negation_model,
    seal_call,
    worker_identity,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealflow.trusted.worker.models.loader import ServedModel

SECRETS = SessionSecrets(1)
RECIPE = ImagePreprocessing(input="x", width=224, height=224)
SKIPPING = segment(0xDB, b"\0" + b"\1" * 64) + huffman(0x00, 0) + huffman(0x10, 0xE0, 0x00)
"""Tables whose first AC code says `16,384 blocks or more are empty`."""


def refused(reason: str, *images: bytes) -> None:
    """Images are refused, before anything is decoded."""
    preparation = ImagePreparation(RECIPE, DataType.FP32, max_pixels=MAX_PIXELS)
    with pytest.raises(InvalidInputError, match=reason):
        next(preparation.prepare([memoryview(image) for image in images]))


def repeated_scans(width: int, height: int, sampling: Sequence[int], count: int) -> bytes:
    """A progressive JPEG of few bytes, with scans that visit all blocks again and again."""
    components = range(1, len(sampling) + 1)
    first = Scan(components, 0, 0), bytes(blocks(width, height) * len(sampling) // 8 + 1)
    more = [Scan((1 + each % len(sampling),), 1, 63) for each in range(count - 1)]
    scans = [first, *[(scan, bytes(300)) for scan in more]]
    return jpeg(width, height, scans, sampling=sampling, marker=PROGRESSIVE, tables=SKIPPING)


@pytest.mark.parametrize("sampling", [GREY, FULL_COLOUR, HALF_COLOUR, (0x11, 0x44, 0x44)])
@pytest.mark.parametrize("count", [45, 126, 128])
def test_92_scans(sampling: Sequence[int], count: int) -> None:
    """Scans count with the blocks and coefficients that they visit, whatever they bring."""
    refused("takes too long to decode", repeated_scans(7_000, 7_000, sampling, count))
    refused("32 times the other", repeated_scans(895, 32_768, sampling, count))


def test_92_honest_photos() -> None:
    """A progressive photo of 50 megapixels with a camera's scans is decoded."""
    script = [
        (Scan((1, 2, 3), 0, 0, 0, 1), bytes(blocks(7_000, 7_000) * 3 // 8 + 1)),
        *[(Scan((1,), 1, 5, 0, 2), b""), (Scan((3,), 1, 63, 0, 1), b"")],
        *[(Scan((2,), 1, 63, 0, 1), b""), (Scan((1,), 6, 63, 0, 2), b"")],
        (Scan((1,), 1, 63, 2, 1), b""),
        (Scan((1, 2, 3), 0, 0, 1, 0), bytes(blocks(7_000, 7_000) * 3 // 8 + 1)),
        *[(Scan((each,), 1, 63, 1, 0), b"") for each in (3, 2, 1)],
    ]
    photo = jpeg(7_000, 7_000, script, sampling=HALF_COLOUR, marker=PROGRESSIVE)
    preparation = ImagePreparation(RECIPE, DataType.FP32, max_pixels=MAX_PIXELS)
    assert next(preparation.prepare([memoryview(photo)])) > 0


@pytest.mark.parametrize("marker", [BASELINE, EXTENDED, PROGRESSIVE])
@pytest.mark.parametrize("sampling", [GREY, FULL_COLOUR, HALF_COLOUR])
def test_93_no_pixels(marker: int, sampling: Sequence[int]) -> None:
    """A JPEG has a bit for each block at least; one of 150 bytes does not fill 29 megapixels."""
    components = range(1, len(sampling) + 1)
    scan = Scan(components, 0, 0 if marker == PROGRESSIVE else 63)
    for coded in (b"", bytes(500), b"\xff\xd0" * 200):
        image = jpeg(5_416, 5_416, [(scan, coded)], sampling=sampling, marker=marker)
        refused("too few bytes for its size", *[image] * 80)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("interlace", [0, 1])
def test_93_inflation(depth: int, interlace: int) -> None:
    """A PNG that would have to inflate more than DEFLATE can is refused."""
    raw = raw_rows(60, 60, depth=depth)
    refused("too few bytes", png(6_000, 6_000, depth=depth, interlace=interlace, raw=raw))


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP", b"tEXt", b"sPLT", b"hIST", b"vpAg"])
def test_94_chunks(kind: bytes) -> None:
    """Texts and profiles of a PNG are not decoded, however they are packed."""
    plain, bomb = png(64, 64), png(64, 64, *[chunk(kind, b"a\0\0" + b"x\x9c" * 500)] * 100)
    preparation = ImagePreparation(RECIPE, DataType.FP32, max_pixels=MAX_PIXELS)
    both = finish(preparation.prepare([memoryview(plain), memoryview(bomb)]))
    assert np.array_equal(both[0], both[1])
    refused("unknown critical chunk", png(64, 64, chunk(b"ABCD", b"")))


def test_94_segments() -> None:
    """Profiles, thumbnails and comments of a JPEG are not decoded; other kinds are refused."""
    scan = [(Scan((1, 2, 3)), bytes(48))]
    odd = [
        segment(marker, b"\xff\xd8\xff\xc0" + bytes(60)) for marker in (*range(0xE1, 0xF0), 0xFE)
    ]
    preparation = ImagePreparation(RECIPE, DataType.FP32, max_pixels=MAX_PIXELS)
    images = jpeg(64, 64, scan), jpeg(64, 64, scan, *odd)
    both = finish(preparation.prepare([memoryview(image) for image in images]))
    assert np.array_equal(both[0], both[1])
    for marker in (0xC3, 0xC5, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF):
        refused("lossless, hierarchical or arithmetic", jpeg(64, 64, scan, marker=marker))
    for marker in (0xC8, 0xCC, 0xDC, 0xDE, 0xDF, 0xF0, 0x02):
        refused("out of place", jpeg(64, 64, scan, segment(marker, b"\0\0")))
    for start in (b"GIF89a", b"RIFF\0\0\0\0WEBP", b"II*\0", b"\0\0\0\x1cftypavif", b"BM"):
        refused("neither a JPEG nor a PNG", start + bytes(64))


def test_95_many_images() -> None:
    """The work of all images of a request is counted before the first is decoded."""
    grey = jpeg(7_000, 7_000, [(Scan((1,)), bytes(blocks(7_000, 7_000) // 4 + 1))], sampling=GREY)
    refused("too long to decode: send fewer", *[grey] * 60)
    refused("too long to decode: send fewer", *[png(1, 1, *[chunk(b"tEXt")] * 8_000)] * 445)


def image_model() -> ServedModel:
    """A model that gives the pixels back."""
    return load_model(
        onnx_models.identity(onnx_models.FLOAT, sizes=(None, 3, 8, 8)),
        inputs=tensor_specs(x=(DataType.FP32, [-1, 3, 8, 8])),
        outputs=tensor_specs(y=(DataType.FP32, [-1, 3, 8, 8])),
        image=ImagePreprocessing(input="x", width=8, height=8),
    )


def test_92_answer() -> None:
    """The refusal of an image is sealed: the host does not learn what it was."""
    model = image_model()
    request = InferRequest(inputs=(Tensor.from_elements("x", [b"GIF89a" + bytes(64)]),))
    call = seal_request(SESSION, model, request)
    code, message = Worker().serve(model).send(call.envelope).finish().error(0, call)
    assert code == "invalid_input"
    assert "neither a JPEG nor a PNG" in message


@pytest.mark.parametrize("threads", [0, 1, 2])
def test_95_turns(threads: int) -> None:
    """A request of many images does not stand before all others; each gets its own answer."""
    slow, other = image_model(), negation_model()
    images = [png(1_500, 1_500, raw=raw_rows(1_500, 1_500))] * 8
    request = InferRequest(inputs=(Tensor.from_elements("x", images),))
    large = [seal_request(SESSION, slow, request) for _ in range(3)]
    small = [seal_call(other) for _ in range(4)]
    worker = Worker().serve(slow, other)
    worker.send(*[call.envelope for call in large]).send(*[call.envelope for call in small])
    outside = worker.finish(threads=threads)
    for slot, call in enumerate(large):
        assert outside.response(slot, call).outputs[0].shape == (8, 3, 8, 8)
    order = list(outside.replies)
    assert max(order.index(slot) for slot in range(3, 7)) < min(
        order.index(slot) for slot in range(3)
    )


def test_95_deadline() -> None:
    """A request whose deadline passes while it is prepared is not prepared further."""
    model = image_model()
    images = [png(1_500, 1_500)] * 8
    request = InferRequest(inputs=(Tensor.from_elements("x", images),))
    call = seal_request(SESSION, model, request, deadline_ms=DEADLINE_MS)
    opened = open_request(Envelope.from_bytes(call.envelope, max_body_bytes=2**20), KEY, SECRETS)
    outside, clock = RecordedPort(), told_clock(NOW_MS)
    jobs = BatchQueue(max_jobs=8, max_bytes=2**30, max_wait_ms=0)
    replies = ReplySender(outside.port, clock, worker_identity())
    tenants = TenantLedger(simulated_deployment(NOW_MS).deployment, 8, NOW_MS)
    unprepared = PreparationQueue(jobs, replies, clock, tenants, None)
    assert unprepared.add(0, opened, request, model, None) is None
    unprepared.prepare_piece()
    assert (len(unprepared), len(jobs), outside.frames) == (1, 0, [])
    clock.advance(DEADLINE_MS + 1)
    unprepared.prepare_piece()
    assert (len(unprepared), len(jobs)) == (0, 0)
    code, message = outside.error(0, call)
    assert code == "model_failed"
    assert message.startswith("the deadline passed before all images were decoded")
