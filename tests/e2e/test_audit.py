"""`make audit` against an advisory service of this test's own."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Final

import pytest

from tools.audit import LISTS, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Each of a dozen lists starts pip-audit once.
pytestmark = pytest.mark.timeout(300)
KNOWN_SINCE_2019: Final = ("urllib3", "1.24.1")


class AdvisoryService:
    """Speaks OSV's interface; `holes` says which releases have an advisory."""

    def __init__(self) -> None:
        """Listen at once."""
        self.holes = {KNOWN_SINCE_2019}
        self.asked: set[str] = set()
        service = self

        class Requests(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Say nothing."""

            def do_POST(self) -> None:
                query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                name, version = query["package"]["name"], query["version"]
                service.asked.add(name)
                known = [_advisory(name)] if (name, version) in service.holes else []
                body = json.dumps({"vulns": known} if known else {}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = HTTPServer(("127.0.0.1", 0), Requests)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _advisory(name: str) -> dict[str, object]:
    events = [{"introduced": "0"}, {"fixed": "99.1"}]
    return {
        "id": f"TEST-{name}",
        "summary": "a hole",
        "affected": [
            {
                "package": {"name": name, "ecosystem": "PyPI"},
                "ranges": [{"type": "ECOSYSTEM", "events": events}],
            }
        ],
    }


@pytest.fixture
def service() -> Iterator[AdvisoryService]:
    """A service that knows one old hole, in nothing of ours."""
    found = AdvisoryService()
    yield found
    found.close()


def audit(url: str, lists: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run it over the lists of a folder."""
    options = ("-s", "osv", f"--osv-url={url}", f"--cache-dir={folder / 'cache'}")
    return subprocess.run(
        [sys.executable, "tools/audit.py", f"--lists={lists}", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def pins(folder: Path, *lines: str) -> Path:
    """Write a folder with one list."""
    lists = folder / "lists"
    lists.mkdir()
    (lists / "host.txt").write_text("".join(f"{line}\n" for line in lines))
    return lists


def test_every_list_is_compared(service: AdvisoryService, tmp_path: Path) -> None:
    """All lists of the repository are read, package by package."""
    done = audit(service.url, LISTS, tmp_path)
    assert done.returncode == 0, done.stderr
    names = sorted({path.stem for path in LISTS.glob("*.txt")} - {"constraints"})
    assert done.stdout.splitlines() == [f"{name}: no known vulnerability" for name in names]
    assert {"cryptography", "onnxruntime", "apache-flink", "mypy", "pip-audit"} <= service.asked


def test_a_vulnerable_release(service: AdvisoryService, tmp_path: Path) -> None:
    """A pinned release with an advisory fails the audit, and is named with its remedy."""
    service.holes.add(("numpy", "1.0"))
    done = audit(service.url, pins(tmp_path, "click==8.5.0", "numpy==1.0"), tmp_path)
    assert done.returncode == 1
    assert done.stdout == "host: numpy 1.0: TEST-numpy, fixed in 99.1\n"


def test_a_service_that_knows_nothing(service: AdvisoryService, tmp_path: Path) -> None:
    """Its silence is no proof: a mirror without advisories does not make a list clean."""
    service.holes.clear()
    done = audit(service.url, pins(tmp_path, "click==8.5.0"), tmp_path)
    assert done.returncode == 2
    assert "NOT AUDITED: the service knows no advisory for urllib3==1.24.1" in done.stderr
    assert done.stdout == ""


def test_no_service(service: AdvisoryService, tmp_path: Path) -> None:
    """Without a service the audit fails and says where it would have to ask."""
    service.close()
    done = audit(service.url, pins(tmp_path, "click==8.5.0"), tmp_path)
    assert done.returncode == 2
    assert "error: NOT AUDITED: probe.txt: " in done.stderr
    assert "api.osv.dev" in done.stderr


def test_an_empty_list(service: AdvisoryService, tmp_path: Path) -> None:
    """A list in which nothing is found was not audited."""
    done = audit(service.url, pins(tmp_path, "# nothing"), tmp_path)
    assert done.returncode == 2
    assert "NOT AUDITED: host.txt, 0 of 0 packages: no package was found in it" in done.stderr
