"""Build the documentation site into build/site: `make site`.

Pages lie beside the code that they describe, and the site keeps their paths: every page in the
navigation of `zensical.toml` is copied, with the files that it links to. A link to a page that is
not in the navigation, or to a heading that does not exist, fails the build.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parent.parent
CONFIG: Final = ROOT / "zensical.toml"
GENERATOR: Final = ROOT / ".venv-site" / "bin" / "zensical"
_LINK: Final = re.compile(r"\]\(([^)#\s]+)")
_COLOUR: Final = re.compile(r"\x1b\[[\d;]*m")


def main() -> None:
    """Copy the pages and build the site from them."""
    copy_pages(ROOT / settings()["docs_dir"])
    done = subprocess.run(  # noqa: S603 - the pinned generator
        [GENERATOR, "build", "--clean", "--strict", "--config-file", CONFIG],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        told = _COLOUR.sub("", done.stdout).partition("Traceback")[0]
        sys.exit(f"{told}error: the site was not built")
    print(ROOT / settings()["site_dir"] / "index.html")


def settings() -> dict[str, Any]:
    """Return the table `project` of the settings."""
    project: dict[str, Any] = tomllib.loads(CONFIG.read_text(encoding="utf-8"))["project"]
    return project


def navigation(entries: object = None) -> Iterator[str]:
    """Yield the pages of the navigation in its order."""
    match settings()["nav"] if entries is None else entries:
        case str() as page:
            yield page
        case list() as several:
            for each in several:
                yield from navigation(each)
        case dict() as named:
            for each in named.values():
                yield from navigation(each)


def copy_pages(folder: Path) -> None:
    """Copy all pages, their styles and the files that they link to, at the same paths as here."""
    shutil.rmtree(folder, ignore_errors=True)
    for style in settings()["extra_css"]:
        copy_file(ROOT / style, folder)
    for page in navigation():
        copy_file(ROOT / page, folder)
        for target in _LINK.findall((ROOT / page).read_text(encoding="utf-8")):
            path = (ROOT / page).parent / target
            if "://" not in target and path.suffix != ".md" and path.is_file():
                copy_file(path.resolve(), folder)


def copy_file(path: Path, folder: Path) -> None:
    """Copy one file of the repository."""
    target = folder / path.relative_to(ROOT)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)


if __name__ == "__main__":
    main()
