"""Build the images with buildah: `python -m tools.images [NAME…]`. See docs/guide/images.md."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ("enclaves", "host", "flink")
FILES = ROOT / "deploy" / "images"


def version() -> str:
    """Return Sealflow's version, which is in the tag of each image."""
    text = (ROOT / "src" / "sealflow" / "__init__.py").read_text(encoding="utf-8")
    (found,) = re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    return str(found)


def tag(registry: str, name: str, *, sgx: bool) -> str:
    """Return the full name of an image; the tag of the SGX form ends with `-sgx`."""
    return f"{registry}/{name}:{version()}{'-sgx' if sgx else ''}"


def build(name: str, options: argparse.Namespace) -> None:
    """Build one image, and its SGX form if an enclave key is given.

    Raises: CalledProcessError when buildah fails.
    """
    # Without these options, the Containerfiles' own pins apply.
    base = [f"--build-arg=BASE={options.base}"] if options.base else []
    sgx = options.enclave_key is not None
    plain = tag(options.registry, "enclaves", sgx=False)
    if name == "enclaves":
        run(name, plain, [*base, f"--build-arg=SNAPSHOT={options.snapshot}"], options)
    if name == "enclaves" and sgx:
        arguments = [f"--build-arg=ENCLAVES={plain}"]
        arguments += [f"--build-arg=GRAMINE={options.gramine}"] if options.gramine else []
        arguments += [f"--secret=id=enclave-key,src={options.enclave_key}"]
        run("enclaves-sgx", tag(options.registry, name, sgx=True), arguments, options)
    if name != "enclaves":
        inside = tag(options.registry, "enclaves", sgx=sgx)
        run(name, tag(options.registry, name, sgx=sgx), [f"--build-arg=ENCLAVES={inside}"], options)


def run(file: str, image: str, arguments: list[str], options: argparse.Namespace) -> None:
    """Build one Containerfile with buildah."""
    print(f"{image}", flush=True)
    subprocess.run(  # noqa: S603 - our own arguments
        [  # noqa: S607 - distributions install buildah in different folders
            "buildah",
            "build",
            "--quiet",
            "--layers",
            "--timestamp=0",
            f"--file={FILES / file}.Containerfile",
            f"--tag={image}",
            *arguments,
            *options.buildah,
            str(ROOT),
        ],
        check=True,
    )


def main() -> None:
    """Build the named images in that order, or all; the others copy from `enclaves`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(IMAGES))
    parser.add_argument("--registry", default="localhost/sealflow")
    parser.add_argument("--base", help="Debian 12 image to use instead of the pinned one")
    parser.add_argument("--snapshot", default="", help="timestamp of a snapshot.debian.org archive")
    parser.add_argument("--enclave-key", type=Path, help="build the SGX form, signed with this key")
    parser.add_argument("--gramine", help="Debian 12 image with Gramine, instead of the pinned one")
    parser.add_argument("--buildah", action="append", default=[], help="option passed to buildah")
    options = parser.parse_args()
    for name in options.names or IMAGES:
        if name not in IMAGES:
            sys.exit(f"{name} is not an image: choose from {', '.join(IMAGES)}")
        try:
            build(name, options)
        except FileNotFoundError:
            sys.exit("buildah is not installed: apt-get install buildah")
        except subprocess.CalledProcessError as error:
            sys.exit(f"buildah failed with status {error.returncode}")


if __name__ == "__main__":
    main()
