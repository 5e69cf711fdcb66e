"""Build the images with buildah: `python -m tools.images [NAME…]`. See docs/guide/images.md."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ("enclaves", "host", "flink")
# debian:bookworm-slim of 2026-08-03, as Docker's own record says: docs/guide/images.md
BASE = (
    "docker.io/library/debian"
    "@sha256:abd67ffcfa541b485a3dff59865ab629aa048a6c613e639d36e7456b0b229241"
)


def version() -> str:
    """Read the version that all images are tagged with."""
    text = (ROOT / "src" / "sealflow" / "__init__.py").read_text(encoding="utf-8")
    (found,) = re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    return str(found)


def tag(registry: str, name: str, *, sgx: bool) -> str:
    """Name an image; the SGX form has a tag of its own, and the same name."""
    return f"{registry}/{name}:{version()}{'-sgx' if sgx else ''}"


def build(name: str, options: argparse.Namespace) -> None:
    """Build one image.

    Raises: CalledProcessError.
    """
    signing = name == "enclaves" and options.enclave_key is not None
    sgx = options.enclave_key is not None
    plain = tag(options.registry, "enclaves", sgx=False)
    if signing:
        run("enclaves", plain, [f"--build-arg=BASE={options.base}"], options)
        arguments = [f"--build-arg=ENCLAVES={plain}", f"--build-arg=GRAMINE={options.gramine}"]
        arguments += [f"--secret=id=enclave-key,src={options.enclave_key}"]
        run("enclaves-sgx", tag(options.registry, name, sgx=True), arguments, options)
        return
    inside = tag(options.registry, "enclaves", sgx=sgx)
    arguments = [f"--build-arg=BASE={options.base}", f"--build-arg=SNAPSHOT={options.snapshot}"]
    if name != "enclaves":
        arguments = [f"--build-arg=ENCLAVES={inside}"]
    run(name, tag(options.registry, name, sgx=sgx), arguments, options)


def run(file: str, image: str, arguments: list[str], options: argparse.Namespace) -> None:
    """Run buildah over one Containerfile."""
    print(f"{image}", flush=True)
    subprocess.run(  # noqa: S603 - our own arguments
        [  # noqa: S607 - wherever buildah is
            "buildah",
            "build",
            "--quiet",
            "--layers",
            "--timestamp=0",
            f"--file={ROOT / 'deploy' / 'images' / file}.Containerfile",
            f"--tag={image}",
            *arguments,
            *options.buildah,
            str(ROOT),
        ],
        check=True,
    )


def main() -> None:
    """Build what was asked for, what it stands on first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(IMAGES))
    parser.add_argument("--registry", default="localhost/sealflow")
    parser.add_argument("--base", default=BASE, help="another Debian 12")
    parser.add_argument("--snapshot", default="", help="a time of snapshot.debian.org")
    parser.add_argument("--enclave-key", type=Path, help="build the SGX form, signed with it")
    parser.add_argument("--gramine", default="localhost/gramine:1.9")
    parser.add_argument("--buildah", action="append", default=[], help="an option of buildah's")
    options = parser.parse_args()
    for name in options.names or IMAGES:
        if name not in IMAGES:
            sys.exit(f"no image is called {name}: {', '.join(IMAGES)}")
        try:
            build(name, options)
        except FileNotFoundError:
            sys.exit("buildah is not installed: apt-get install buildah")
        except subprocess.CalledProcessError as error:
            sys.exit(f"buildah failed with status {error.returncode}")


if __name__ == "__main__":
    main()
