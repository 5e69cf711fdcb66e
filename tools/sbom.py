"""Write an image's bill of materials, CycloneDX 1.6 JSON: `python -m tools.sbom ROOT NAME`.

Reads the package databases of an image mounted at ROOT and runs none of its programs. The output
is reproducible: it contains neither a time nor a serial number.
"""

from __future__ import annotations

import email.parser
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tools.images import version as our_version

if TYPE_CHECKING:
    from collections.abc import Iterator

Component = dict[str, Any]


def sbom(root: Path, name: str, version: str) -> dict[str, Any]:
    """Return the bill of materials of the image at `root`: its Debian and Python packages."""
    components = {each["bom-ref"]: each for each in (*debian(root), *python(root))}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "container",
                "bom-ref": f"sealflow/{name}",
                "name": f"sealflow/{name}",
                "version": version,
            }
        },
        "components": [components[key] for key in sorted(components)],
    }


def debian(root: Path) -> Iterator[Component]:
    """Return the installed Debian packages."""
    text = (root / "var/lib/dpkg/status").read_text(encoding="utf-8")
    for paragraph in text.split("\n\n"):
        fields = email.parser.HeaderParser().parsestr(paragraph)
        if fields["Status"] == "install ok installed":
            qualifiers = f"?arch={fields['Architecture']}&distro=debian-12"
            yield component("deb/debian", fields["Package"], fields["Version"], qualifiers)


def python(root: Path) -> Iterator[Component]:
    """Return the installed Python packages, each with its SPDX licence if it declares one."""
    for path in sorted((root / "opt").rglob("*.dist-info/METADATA")):
        fields = email.parser.HeaderParser().parsestr(path.read_text(encoding="utf-8"))
        found = component("pypi", fields["Name"].lower().replace("_", "-"), fields["Version"], "")
        if fields["License-Expression"]:
            found["licenses"] = [{"expression": fields["License-Expression"]}]
        yield found


def component(kind: str, name: str, version: str, qualifiers: str) -> Component:
    """Return the component of one package. `kind`: a package URL's type, maybe with a namespace."""
    url = f"pkg:{kind}/{quote(name)}@{quote(version)}{qualifiers}"
    return {"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url}


if __name__ == "__main__":
    bill = sbom(Path(sys.argv[1]), sys.argv[2], our_version())
    print(json.dumps(bill, indent=1, ensure_ascii=False))
