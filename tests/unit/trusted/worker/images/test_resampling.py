"""Resampling: the same values as a library made for it, for every kernel and ratio."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sealflow.package.preprocessing import Resize
from sealflow.trusted.worker.images.resampling import resample

KERNELS = {
    Resize.BICUBIC: cv2.INTER_CUBIC,
    Resize.BILINEAR: cv2.INTER_LINEAR,
    Resize.AREA: cv2.INTER_AREA,
}


@pytest.mark.parametrize("resize", list(Resize))
@pytest.mark.parametrize("size", [(50, 50), (23, 31), (75, 60), (50, 74)])
def test_values_are_those_of_opencv(resize: Resize, size: tuple[int, int]) -> None:
    """Up to a ratio of 1.5, and for every growth, values differ by rounding only."""
    noise = np.random.default_rng(7).integers(0, 256, (*size, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (5, 5), 1).astype(np.uint8)
    found = resample(smooth, 51, 50, resize)
    expected = cv2.resize(smooth, (51, 50), interpolation=KERNELS[resize])
    assert found.shape == (3, 50, 51)
    assert np.abs(found.transpose(1, 2, 0) - expected).max() < 1.1


@pytest.mark.parametrize("resize", list(Resize))
@pytest.mark.parametrize("size", [160, 333, 1000])
def test_large_ratios_average(resize: Resize, size: int) -> None:
    """An image that shrinks by any ratio keeps its means, as area averaging does."""
    noise = np.random.default_rng(7).integers(0, 256, (size, size, 3)).astype(np.uint8)
    found = resample(noise, 50, 50, resize).transpose(1, 2, 0)
    expected = cv2.resize(noise, (50, 50), interpolation=cv2.INTER_AREA)
    assert np.abs(found - expected).mean() < 8
    assert np.abs(found.mean() - expected.mean()) < 0.5


@pytest.mark.parametrize("resize", list(Resize))
def test_turned_pixels_give_turned_values(resize: Resize) -> None:
    """Both directions are computed alike, also for views of pixels."""
    noise = np.random.default_rng(7).integers(0, 256, (40, 90, 3)).astype(np.uint8)
    straight = resample(noise, 33, 21, resize)
    turned = resample(noise.transpose(1, 0, 2), 21, 33, resize)
    assert np.allclose(straight, turned.transpose(0, 2, 1), atol=1e-3)


@pytest.mark.parametrize("resize", list(Resize))
def test_values_stay_in_range(resize: Resize) -> None:
    """A kernel that overshoots at edges does not leave 0 to 255."""
    edge = np.zeros((20, 20, 3), np.uint8)
    edge[:, 10:] = 255
    found = resample(edge, 37, 37, resize)
    assert found.min() >= 0
    assert found.max() <= 255
