"""From a folder to a package and on to a key broker; mistakes are said with what to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sealflow.errors import BundleError, ConfigError
from sealflow.owner import OwnerKey, TrustDomain
from sealflow.owner.models.packing import (
    MAX_RECIPE_BYTES,
    TEMPLATE,
    pack_folder,
    read_folder,
    read_manifest,
    write_package,
)
from sealflow.owner.models.publish import SealedPublication, prepare_publication
from sealflow.package.container import UnverifiedPackage
from sealflow.package.publication import open_publication
from sealflow.seal.keys import OpeningKey, SealingKey, Suite
from tests.support.models import onnx_models

EXAMPLES = Path(__file__).parents[4] / "examples"
KEY = OwnerKey.generate(TrustDomain.SIMULATED)
BROKER = OpeningKey.generate(Suite.SIMULATED_XWING)
DEPLOYMENT, LOG_ID = "test", "0f" * 32


def prepared_for(keybroker: SealingKey, package: bytes) -> SealedPublication:
    """A publication for a key broker."""
    return prepare_publication(package, KEY, keybroker, deployment=DEPLOYMENT, log_id=LOG_ID)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A copy of the small example."""
    folder = tmp_path / "tiny"
    shutil.copytree(EXAMPLES / "tiny", folder)
    return folder


def rewritten(folder: Path, old: str, new: str) -> Path:
    """Change a folder's recipe."""
    path = folder / "model.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return folder


@pytest.mark.parametrize("name", ["tiny", "efficientnet-lite0"])
def test_an_example_is_packed_and_published(name: str) -> None:
    """Its files come out of the package, its content key out of the publication."""
    folder, done = EXAMPLES / name, [0, 0]

    def progress(some: int, total: int) -> None:
        done[0] += some
        done[1] = total

    package = pack_folder(folder, KEY, progress=progress)
    manifest, files = read_folder(folder)
    assert done == [sum(map(len, files.values())) + len(manifest.to_bytes())] * 2
    assert set(files) == {"model.onnx", "labels.txt"}
    prepared = prepared_for(BROKER.public_key, package)
    assert prepared.manifest == manifest
    publication = open_publication(prepared.sealed, BROKER)
    assert (publication.digest, publication.signer) == (prepared.digest, KEY.signer)
    opened = UnverifiedPackage.from_bytes(package).verify(
        publication.signer, digest=prepared.digest
    )
    assert opened.open_files(publication.content_key, TrustDomain.SIMULATED) == files


def test_a_package_of_somebody_else_is_not_published() -> None:
    """The owner's key tells its own packages."""
    package = pack_folder(EXAMPLES / "tiny", OwnerKey.generate(TrustDomain.SIMULATED))
    with pytest.raises(BundleError):
        prepared_for(BROKER.public_key, package)


def test_worlds_do_not_mix() -> None:
    """A hardware key broker gets nothing that was packed for a simulation."""
    hardware = OpeningKey.generate(Suite.XWING)
    with pytest.raises(ConfigError, match="trust domain"):
        prepared_for(hardware.public_key, pack_folder(EXAMPLES / "tiny", KEY))


def test_the_template_is_a_recipe(tmp_path: Path) -> None:
    """Who copies it has a manifest, also with all that is optional turned on."""
    path = tmp_path / "model.toml"
    path.write_text(TEMPLATE)
    assert read_manifest(tmp_path).image is None
    path.write_text("\n".join(line.removeprefix("# ") for line in TEMPLATE.splitlines()))
    manifest = read_manifest(tmp_path)
    assert manifest.labels == "labels.txt"
    assert manifest.image is not None
    assert manifest.classification is not None


def test_a_batch_is_one_unless_said(tiny: Path) -> None:
    """It is the only figure that may be left out."""
    assert read_manifest(rewritten(tiny, "max_batch = 64\n", "")).max_batch == 1


def test_a_folder_without_a_recipe_gets_a_template(tmp_path: Path) -> None:
    """So does a path to a file, or to nothing."""
    file = tmp_path / "model.onnx"
    file.touch()
    for path in (tmp_path, file, tmp_path / "absent"):
        with pytest.raises(ConfigError) as caught:
            read_manifest(path)
        assert TEMPLATE in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        b"name =",
        b"\xff",
        b"#" * (MAX_RECIPE_BYTES + 1),
        b"x = " + b"1" * 5000,
        b"x = " + b"[" * 50_000,
        b"",
        b"name = 1",
        b'name = "m"\nversion = 1.0',
        b'name = "m"\nversion = "1"',
        b'name = "m"\nversion = "1"\nversion = "2"',
    ],
)
def test_a_recipe_that_is_none_is_said(tmp_path: Path, text: bytes) -> None:
    """The message names the file."""
    (tmp_path / "model.toml").write_bytes(text)
    with pytest.raises(ConfigError, match=r"model\.toml"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"1"', "1"),
        ('"onnx"', '"pickle"'),
        ('"model.onnx"', '"../model.onnx"'),
        ('"model.onnx"', '"/etc/passwd.onnx"'),
        ('"labels.txt"', "1979-05-27"),
        ("64", "9" * 400),
        ("64", "inf"),
        ("[-1, 4]", "[-1, nan]"),
        ("[-1, 4]", f"[-1, {'9' * 400}]"),
        ("softmax = false", "softmax = 0"),
        ("[classification]", f'[image]\ninput = "x"\nwidth = 1\nheight = 1\ncrop = {"9" * 400}\n'),
    ],
)
def test_a_recipe_that_contradicts_itself_is_said(tiny: Path, old: str, new: str) -> None:
    """Also with figures that only TOML has."""
    with pytest.raises(ConfigError, match=r"model\.toml"):
        read_manifest(rewritten(tiny, old, new))


def test_a_named_file_that_cannot_be_read_is_said(tiny: Path) -> None:
    """The file system has the last word."""
    with pytest.raises(ConfigError, match=r"labels\.txt, named in model\.toml"):
        (tiny / "labels.txt").unlink()
        read_folder(tiny)
    (tiny / "labels.txt").mkdir()
    with pytest.raises(ConfigError, match=r"labels\.txt"):
        read_folder(tiny)


def test_a_link_is_not_followed(tiny: Path) -> None:
    """What is signed says so."""
    (tiny / "model.onnx").rename(tiny / "other.onnx")
    (tiny / "model.onnx").symlink_to(tiny / "other.onnx")
    with pytest.raises(ConfigError, match="symbolic link"):
        read_folder(tiny)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (onnx_models.with_outside_weights("weights.bin"), "save it as one file"),
        (b"\x80\x04N.", "not an ONNX model"),
        (b"", "not an ONNX model"),
    ],
)
def test_a_model_that_cannot_be_served_is_said(tiny: Path, content: bytes, reason: str) -> None:
    """Before anything is encrypted or uploaded."""
    (tiny / "model.onnx").write_bytes(content)
    with pytest.raises(BundleError, match=reason):
        pack_folder(tiny, KEY)


def test_labels_are_not_needed(tiny: Path) -> None:
    """Top classes are numbers then."""
    _, files = read_folder(rewritten(tiny, 'labels = "labels.txt"', ""))
    assert set(files) == {"model.onnx"}


def test_labels_are_checked_too(tiny: Path) -> None:
    """They would fail in the worker."""
    (tiny / "labels.txt").write_bytes(b"\xff")
    with pytest.raises(BundleError, match="labels"):
        read_folder(tiny)


def test_an_openvino_model_is_packed_with_its_weights(tiny: Path) -> None:
    """The recipe names the XML alone."""
    rewritten(tiny, '"onnx"', '"openvino"')
    rewritten(tiny, "model.onnx", "model.xml")
    (tiny / "model.xml").write_bytes(b'<?xml version="1.0"?>\n<net name="m"/>')
    (tiny / "model.bin").write_bytes(b"weights")
    _, files = read_folder(tiny)
    assert set(files) == {"model.xml", "model.bin", "labels.txt"}
    (tiny / "model.xml").write_bytes(b"<html/>")
    with pytest.raises(BundleError, match="OpenVINO"):
        read_folder(tiny)


def test_a_package_is_written_whole_over_an_older_one(tmp_path: Path) -> None:
    """And no draft is left, even when it fails."""
    path = tmp_path / "m.sealed"
    path.write_bytes(b"old")
    write_package(path, b"new")
    assert path.read_bytes() == b"new"
    folder = tmp_path / "folder"
    folder.mkdir()
    for bad in (folder, tmp_path / "absent" / "m.sealed"):
        with pytest.raises(ConfigError, match="cannot write"):
            write_package(bad, b"new")
    assert sorted(tmp_path.iterdir()) == [folder, path]
