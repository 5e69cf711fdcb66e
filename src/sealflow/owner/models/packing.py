"""Owner: packs the model in a folder with `model.toml`, and writes packages.

Guide: docs/spec/bundle.md, section 2.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sealflow.errors import BundleError, ConfigError, MalformedError
from sealflow.files import file_errors, read_file, write_file
from sealflow.openinfer.tensor import DataType
from sealflow.owner.models.onnx_weights import has_external_data
from sealflow.owner.models.owner_key import opening_key
from sealflow.package.container import seal_package
from sealflow.package.manifest import ModelFormat, ModelManifest, parse_labels

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from sealflow.owner.models.owner_key import OwnerKey

RECIPE_NAME: Final = "model.toml"
MAX_RECIPE_BYTES: Final = 256 * 1024
TEMPLATE: Final = """\
name = "my-model"
version = "1"
format = "onnx"            # or "openvino": file = "model.xml", with model.bin beside it
file = "model.onnx"
max_batch = 1              # more needs -1 as the first size of all inputs and outputs
# labels = "labels.txt"    # line N+1 names class N
# reply_bytes = 65536      # pads replies to this, where outputs have open sizes; longer ones fail
# rows_independent = true  # each row's outputs depend on that row alone: clients may share batches

[[inputs]]
name = "x"
datatype = "FP32"
shape = [-1, 3, 224, 224]

[[outputs]]
name = "y"
datatype = "FP32"
shape = [-1, 1000]

# [image]                  # lets callers send JPEG and PNG: value = (pixel - mean) / scale
# input = "x"
# width = 224
# height = 224
# crop = 1.0
# resize = "bicubic"       # or "bilinear", "area"
# layout = "NCHW"          # or "NHWC"
# channels = "RGB"         # or "BGR"
# mean = [0.0, 0.0, 0.0]
# scale = [255.0, 255.0, 255.0]

# [classification]         # lets callers ask for the top classes
# output = "y"
# softmax = true
"""


def read_manifest(folder: Path) -> ModelManifest:
    """Return the manifest in a folder's `model.toml`.

    Raises: ConfigError, whose message has a template when the file is missing.
    """
    path = folder / RECIPE_NAME
    if not path.is_file():
        where = f"{folder} is a file" if folder.is_file() else f"there is no {path}"
        raise ConfigError(
            f"{where}; a model is packed from a folder that contains {RECIPE_NAME}, such as:\n\n"
            f"{TEMPLATE}"
        )
    with file_errors(f"{path}"):
        text = read_file(path, MAX_RECIPE_BYTES)
    try:
        table = tomllib.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    for key in ("name", "version"):
        if not isinstance(table.get(key), str):
            raise ConfigError(f'{path}: {key} must be text in quotes, such as {key} = "1"')
    try:
        return ModelManifest.from_json({"max_batch": 1, **table})
    except MalformedError as error:
        raise ConfigError(f"{path}: {error}") from error


def read_folder(folder: Path) -> tuple[ModelManifest, dict[str, bytes]]:
    """Return a folder's manifest, and the files that it names by name.

    Raises: ConfigError when a file is missing or wrong, BundleError when the model cannot be
        served.
    """
    manifest = read_manifest(folder)
    files = {name: _read(folder, name) for name in manifest.files}
    model = files[manifest.file]
    if manifest.format is ModelFormat.ONNX and has_external_data(model):
        raise BundleError(
            f"{folder / manifest.file} has weights in other files, which a package cannot contain; "
            "save it as one file: onnx.save_model(onnx.load(path), path)"
        )
    if manifest.format is ModelFormat.OPENVINO and b"<net" not in model[:1024]:
        raise BundleError(f"{folder / manifest.file} is not an OpenVINO IR: it has no <net>")
    if manifest.labels is not None:
        parse_labels(files[manifest.labels])
    return manifest, files


def open_outputs(manifest: ModelManifest) -> tuple[str, ...]:
    """Return the outputs whose sizes depend on the input, so that a reply's length tells of it.

    Empty if the manifest fixes the length of replies.
    """
    known = 1 if manifest.max_batch > 1 else 0
    return tuple(
        spec.name
        for spec in manifest.outputs
        if not manifest.reply_bytes
        and (spec.datatype is DataType.BYTES or -1 in spec.shape[known:])
    )


def pack_folder(
    folder: str | os.PathLike[str],
    key: OwnerKey,
    *,
    progress: Callable[[int, int], object] | None = None,
) -> bytes:
    """Pack a folder's model: signed, and encrypted with a new content key. Spec: bundle.md.

    Args:
        folder: A folder with `model.toml` and the files that it names.
        key: The key of the model's owner.
        progress: Called with the number of bytes done since its last call, and of all bytes.

    Returns:
        The package, to publish or to write to a file.

    Raises:
        ConfigError: `model.toml` or a file that it names is absent or wrong.
        BundleError: The model cannot be served, such as one with weights in other files.

    Example:
        >>> package = pack_folder("examples/tiny", load_owner_key(".sealflow/owner.key"))
        >>> package[:4]
        b'SFB1'
    """
    manifest, files = read_folder(Path(folder))
    total = sum(map(len, files.values())) + len(manifest.to_bytes())
    return seal_package(
        manifest,
        files,
        signing=key.signing,
        sealing=opening_key(key).public_key,
        progress=None if progress is None else lambda done: progress(done, total),
    )


def write_package(path: Path, package: bytes) -> None:
    """Write a package to a file, atomically, in place of an older one.

    Raises: ConfigError.
    """
    with file_errors(f"{path}: cannot write the package"):
        write_file(path, package, mode=0o666)


def _read(folder: Path, name: str) -> bytes:
    path = folder / name
    if path.is_symlink():
        # The signed statement covers files of the folder only, so links are not followed.
        raise ConfigError(f"{path} is a symbolic link: replace it by the file")
    with file_errors(f"{path}, named in {RECIPE_NAME}"):
        return path.read_bytes()
