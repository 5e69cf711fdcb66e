"""Write deploy/chart/README.md from the chart's values: `python tools/chart_readme.py`.

The comment `# -- …` above a value is its description.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parents[1] / "deploy" / "chart"
README = CHART / "README.md"
HEAD = """# Sealflow's Helm chart

{description}. The walk from keys to benchmark is in the [guide](../../docs/guide/kubernetes.md).

```sh
helm install sealflow deploy/chart --namespace sealflow -f deploy/chart/values-nonsgx.yaml \\
  --set-file deployment.settings=deployment.json --set-file benchmark.policy=client.toml
```

| preset | for |
|---|---|
{presets}

Kubernetes {kube}, Helm 3.17 or newer. Unknown values are refused by `values.schema.json`.

This file is made by `make docs` from `values.yaml`.
"""
_KEY = re.compile(r"^(\s*)([A-Za-z0-9_-]+):(.*)$")


def describe(text: str) -> list[tuple[str, str]]:
    """Return the path and the description of each value that has a comment, in their order."""
    found: list[tuple[str, str]] = []
    path: list[tuple[int, str]] = []
    comment = ""
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("# -- "):
            comment = stripped.removeprefix("# -- ")
            continue
        match = _KEY.match(line)
        if match is None:
            continue
        depth = len(match[1])
        path = [each for each in path if each[0] < depth] + [(depth, match[2])]
        if comment:
            found.append((".".join(name for _, name in path), comment))
        comment = ""
    return found


def value_at(values: Any, path: str) -> Any:  # noqa: ANN401 - values are of any kind
    """Return the value at a dotted path."""
    for name in path.split("."):
        values = values[name]
    return values


def readme() -> str:
    """Return the whole text."""
    text = (CHART / "values.yaml").read_text()
    values, chart = yaml.safe_load(text), yaml.safe_load((CHART / "Chart.yaml").read_text())
    presets = "\n".join(
        f"| `{path.name}` | {path.read_text().splitlines()[0].removeprefix('# ')} |"
        for path in sorted(CHART.glob("values-*.yaml"))
    )
    kube = chart["kubeVersion"].removeprefix(">=").removesuffix("-0") + " or newer"
    lines = [HEAD.format(description=chart["description"], presets=presets, kube=kube)]
    section = ""
    for path, comment in describe(text):
        first = path.partition(".")[0] if "." in path else "names"
        if first != section:
            section = first
            lines.append(f"## {section}\n\n| value | default | |\n|---|---|---|")
        default = json.dumps(value_at(values, path), ensure_ascii=False)
        lines.append(f"| `{path}` | `{default}` | {comment} |")
    return re.sub(r"\n(## )", r"\n\n\1", "\n".join(lines)) + "\n"


if __name__ == "__main__":
    README.write_text(readme())
