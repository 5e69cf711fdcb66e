"""What an owner does with a service: verify it, ask it, and benchmark it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.hosts.python_environments import Environment

SERVED = re.compile(r"^Served 50 images in [\d.]+ sec, e2e throughput is ", re.MULTILINE)


def check_service(
    client: Environment, example: Path, cwd: Path, reach: tuple[str, ...] = ()
) -> None:
    """Verify a service, classify the example's photos, and benchmark it."""
    (verified,) = client.run("verify", "--json", *reach, cwd=cwd).json
    assert verified["simulated"] is True
    photos = sorted((example / "photos").glob("*.jpg"))
    answers = client.run("infer", "--json", *reach, *map(str, photos), cwd=cwd).json
    top: dict[str, Any] = {each["image"].rpartition("/")[2]: each["top"][0] for each in answers}
    expected = json.loads((example / "photos" / "expected.json").read_text())
    assert expected
    for name, label in expected.items():
        assert (top[name]["index"], top[name]["label"]) == (label["index"], label["label"])
    bench = client.run("bench", "-n", "50", "-i", str(example / "photos"), *reach, cwd=cwd)
    assert bench.code == 0, bench.err
    assert SERVED.search(bench.out)
