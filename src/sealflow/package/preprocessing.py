"""Core, pure, stdlib only: the settings of a model's pre- and postprocessing. Spec: bundle.md, 3.5.

Workers carry it out in `trusted.worker.models`.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Final

from sealflow.errors import MalformedError
from sealflow.openinfer.tensor import check_name
from sealflow.wire.fields import Fields
from sealflow.wire.strict_json import is_integer

MAX_IMAGE_SIDE: Final = 8192
CHANNELS: Final = 3


class Resize(enum.StrEnum):
    """The interpolation with which an image is resized."""

    BICUBIC = "bicubic"
    BILINEAR = "bilinear"
    AREA = "area"


class Layout(enum.StrEnum):
    """The order of the axes: N batch, C channels, H rows, W columns."""

    NCHW = "NCHW"
    NHWC = "NHWC"


class Channels(enum.StrEnum):
    """The order of the colour channels."""

    RGB = "RGB"
    BGR = "BGR"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePreprocessing:
    """The conversion of a JPEG or PNG file to the input `input` of a model.

    1. Take the largest centred rectangle with the aspect ratio `width`:`height`. Keep its middle:
       the fraction `crop` of each side (over 0, at most 1).
    2. Resize it to `width` by `height` pixels with the interpolation `resize`.
    3. For each channel, in the order `channels`: value = (pixel - mean) / scale, pixel 0 to 255.

    Raises: MalformedError if a value is out of range.
    """

    input: str
    width: int
    height: int
    crop: float = 1.0
    resize: Resize = Resize.BICUBIC
    layout: Layout = Layout.NCHW
    channels: Channels = Channels.RGB
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        """Check the range of every value."""
        check_name(self.input, "image: input")
        for side in (self.width, self.height):
            if not is_integer(side) or not 1 <= side <= MAX_IMAGE_SIDE:
                msg = f"image: width or height is not an integer of 1 to {MAX_IMAGE_SIDE}"
                raise MalformedError(msg)
        if not 0.0 < self.crop <= 1.0:
            msg = f"image: crop is {self.crop}, not over 0 and at most 1"
            raise MalformedError(msg)
        if not all(map(math.isfinite, self.mean + self.scale)) or 0.0 in self.scale:
            msg = "image: a mean or scale is not finite, or a scale is 0"
            raise MalformedError(msg)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of one prepared image, without the batch axis."""
        if self.layout is Layout.NCHW:
            return CHANNELS, self.height, self.width
        return self.height, self.width, CHANNELS

    def to_json(self) -> dict[str, object]:
        """Return the JSON object under `image` in the manifest."""
        return {
            "input": self.input,
            "width": self.width,
            "height": self.height,
            "crop": self.crop,
            "resize": self.resize.value,
            "layout": self.layout.value,
            "channels": self.channels.value,
            "mean": list(self.mean),
            "scale": list(self.scale),
        }

    @classmethod
    def from_json(cls, value: object) -> ImagePreprocessing:
        """Parse an object that `to_json` returned; only input, width and height are required.

        Raises: MalformedError.
        """
        optional = ("crop", "resize", "layout", "channels", "mean", "scale")
        fields = Fields(value, "image", ("input", "width", "height"), optional)
        return cls(
            input=check_name(fields.get("input"), "image: input"),
            width=fields.integer("width"),
            height=fields.integer("height"),
            crop=_number(fields.get("crop", 1.0), "image: crop"),
            resize=fields.word("resize", Resize, Resize.BICUBIC),
            layout=fields.word("layout", Layout, Layout.NCHW),
            channels=fields.word("channels", Channels, Channels.RGB),
            mean=_per_channel(fields.get("mean", [0.0] * CHANNELS), "image: mean"),
            scale=_per_channel(fields.get("scale", [1.0] * CHANNELS), "image: scale"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationPostprocessing:
    """The conversion of the output `output` to top classes along its last axis.

    `softmax`: apply softmax first, for outputs that hold logits.
    """

    output: str
    softmax: bool = False

    def to_json(self) -> dict[str, object]:
        """Return the JSON object under `classification` in the manifest."""
        return {"output": self.output, "softmax": self.softmax}

    @classmethod
    def from_json(cls, value: object) -> ClassificationPostprocessing:
        """Parse an object that `to_json` returned; only output is required.

        Raises: MalformedError.
        """
        fields = Fields(value, "classification", ("output",), ("softmax",))
        output = check_name(fields.get("output"), "classification: output")
        return cls(output=output, softmax=fields.flag("softmax"))


def _number(value: object, what: str) -> float:
    if not isinstance(value, float) and not is_integer(value):
        msg = f"{what} is not a number"
        raise MalformedError(msg)
    try:
        return float(value)
    except OverflowError as error:  # integers in TOML may be over the range of a float
        raise MalformedError(f"{what} is too large") from error


def _per_channel(value: object, what: str) -> tuple[float, float, float]:
    if not isinstance(value, list) or len(value) != CHANNELS:
        msg = f"{what} is not a list of {CHANNELS} numbers"
        raise MalformedError(msg)
    first, second, third = (_number(each, what) for each in value)
    return first, second, third
