"""Top classes: best first, ties by index, softmax only when asked, nothing that is no number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealflow.errors import InvalidInputError, ModelError
from sealflow.openinfer.messages import TopClass
from sealflow.trusted.worker.models.top_classes import top_classes

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _top(
    scores: NDArray[Any], count: int, *, softmax: bool = False, labels: tuple[str, ...] = ()
) -> list[TopClass]:
    tensor = top_classes("y", scores, count, softmax=softmax, labels=labels)
    return [TopClass.from_bytes(element) for element in tensor.elements()]


def test_the_best_come_first_with_their_labels() -> None:
    """Scores stay as the model gave them; classes without a label have none."""
    scores = np.array([[0.25, 4.0, -1.5, 2.0]], np.float32)
    assert _top(scores, 3, labels=("a", "b", "c")) == [
        TopClass(score=4.0, index=1, label="b"),
        TopClass(score=2.0, index=3),
        TopClass(score=0.25, index=0, label="a"),
    ]


def test_elements_are_tritons() -> None:
    """An element is score:index:label."""
    tensor = top_classes("y", np.array([0.5, 1.5]), 1, softmax=False, labels=("a", "b"))
    assert (tensor.name, tensor.shape) == ("y", (1,))
    assert tensor.elements() == [b"1.5:1:b"]


def test_equal_scores_come_by_index() -> None:
    """Ties are broken the same way whether all classes or a part are asked for."""
    scores = np.array([1, 2, 2, 1, 2, 0], np.float32)
    assert [each.index for each in _top(scores, 6)] == [1, 2, 4, 0, 3, 5]
    assert [each.index for each in _top(scores, 2)] == [1, 2]
    assert [each.index for each in _top(scores, 4)] == [1, 2, 4, 0]


def test_every_row_has_its_own_classes() -> None:
    """The last size becomes the classes kept; the sizes before it stay."""
    scores = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    tensor = top_classes("y", scores, 2, softmax=False, labels=())
    assert tensor.shape == (2, 3, 2)
    found = [TopClass.from_bytes(element) for element in tensor.elements()]
    assert [each.index for each in found] == [3, 2] * 6
    assert [each.score for each in found[::2]] == [3, 7, 11, 15, 19, 23]


def test_more_classes_than_there_are_give_all() -> None:
    """The answer's shape says how many there were."""
    tensor = top_classes("y", np.zeros((1, 3)), 10, softmax=False, labels=())
    assert tensor.shape == (1, 3)


def test_no_rows_and_no_classes_give_nothing() -> None:
    """Empty outputs are answered with empty tensors."""
    assert top_classes("y", np.zeros((0, 3)), 2, softmax=True, labels=()).shape == (0, 2)


def test_softmax_makes_probabilities() -> None:
    """Logits become probabilities that sum to 1, also where exp alone would overflow."""
    found = _top(np.array([[1000.0, 1000.0, 0.0]], np.float32), 3, softmax=True)
    assert [(each.index, each.score) for each in found] == [(0, 0.5), (1, 0.5), (2, 0.0)]
    found = _top(np.array([0.0, np.log(3.0)]), 2, softmax=True)
    assert [each.score for each in found] == pytest.approx([0.75, 0.25])


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.uint64, np.float16])
def test_any_numbers_are_scores(dtype: type[np.generic]) -> None:
    """Quantized models give integers; unsigned ones are not turned around."""
    assert [each.index for each in _top(np.array([3, 100, 0, 7], dtype), 4)] == [1, 3, 0, 2]
    assert [each.index for each in _top(np.array([3, 100, 0, 7], dtype), 2, softmax=True)] == [1, 3]


def test_the_smallest_integer_is_the_smallest_score() -> None:
    """-128 has no positive counterpart in 8 bits."""
    assert [each.index for each in _top(np.array([-128, 5, 127], np.int8), 3)] == [2, 1, 0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("softmax", [False, True])
def test_scores_that_are_no_numbers_are_the_models_fault(bad: float, *, softmax: bool) -> None:
    """NaN and infinities are reported, never ranked."""
    scores = np.array([[1.0, 2.0], [bad, 0.5]], np.float32)
    if softmax and bad == -np.inf:
        assert _top(scores, 1, softmax=True)[1] == TopClass(score=1.0, index=1)
        return
    with pytest.raises(ModelError, match=r"output y: .*not a finite number") as caught:
        _top(scores, 1, softmax=softmax)
    assert caught.value.code == "model_failed"


@pytest.mark.parametrize(
    "scores",
    [np.zeros(()), np.zeros((2, 0)), np.array([True, False]), np.array([b"a", b"b"], object)],
)
def test_outputs_without_scores_have_no_classes(scores: NDArray[Any]) -> None:
    """A scalar, no classes, booleans and text are refused, with what to do instead."""
    with pytest.raises(InvalidInputError, match=r"output y: .* without classification"):
        _top(scores, 1)


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=30), st.integers(1, 35))
def test_top_classes_are_the_head_of_a_stable_sort(scores: list[int], count: int) -> None:
    """Whatever the scores, the answer is the head of all sorted by score and index."""
    expected = sorted(range(len(scores)), key=lambda index: (-scores[index], index))[:count]
    assert [each.index for each in _top(np.array(scores, np.float32), count)] == expected
