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
    # What was not asked for is as the Containerfiles pin it.
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
    """Run buildah over one Containerfile."""
    print(f"{image}", flush=True)
    subprocess.run(  # noqa: S603 - our own arguments
        [  # noqa: S607 - wherever buildah is
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
    """Build what was asked for, what it stands on first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(IMAGES))
    parser.add_argument("--registry", default="localhost/sealflow")
    parser.add_argument("--base", help="another Debian 12 than the pinned one")
    parser.add_argument("--snapshot", default="", help="a time of snapshot.debian.org")
    parser.add_argument("--enclave-key", type=Path, help="build the SGX form, signed with it")
    parser.add_argument("--gramine", help="an image of Debian 12 with Gramine")
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
