"""The examples in the docstrings of `sealflow.owner` run, as the Python reference shows them."""

from __future__ import annotations

import doctest
import os
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import sealflow.owner
from sealflow.owner.trust.policy_file import write_policy
from tests.support.cluster.local_cluster import EXAMPLES, LITE0, PHOTOS, TINY, LocalCluster
from tools.python_reference import SUBJECTS, Documented, members, public

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_URL = "http://127.0.0.1:8470"


def documented() -> Iterator[Documented]:
    """All public names and members that have an example."""
    for text in SUBJECTS.values():
        for name in text.split():
            owner = public(name)
            yield owner
            yield from members(owner)


EXAMPLES_BY_NAME = {
    each.name: each.docstring.sections["Example"]
    for each in documented()
    if "Example" in each.docstring.sections
}


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A folder with a running cluster's home and the files that examples name, and the names."""
    folder = tmp_path_factory.mktemp("user")
    before = folder.cwd()
    shutil.copytree(TINY, folder / "my-model")
    recipe = folder / "my-model" / "model.toml"
    recipe.write_text(recipe.read_text().replace('"tiny"', '"my-model"'))
    with LocalCluster(TINY, LITE0) as cluster:
        (folder / ".sealflow").symlink_to(cluster.home)
        (folder / "cat.jpg").symlink_to(PHOTOS / "chelsea.jpg")
        (folder / "examples").symlink_to(EXAMPLES)
        policy = sealflow.owner.load_policy(cluster.policy)
        other = replace(policy.requirements, measurements=frozenset({"ab" * 32}))
        write_policy(folder / "other.toml", replace(policy, requirements=other))
        os.chdir(folder)
        try:
            with cluster.client() as client, cluster.queue() as queue:
                everything = {
                    name: getattr(sealflow.owner, name) for name in sealflow.owner.__all__
                }
                yield {
                    **everything,
                    "client": client,
                    "queue": queue,
                    "broker": cluster.facts["broker_url"],
                    DEFAULT_URL: cluster.url,
                }
        finally:
            os.chdir(before)


@pytest.mark.parametrize("name", EXAMPLES_BY_NAME)
def test_example(names: dict[str, Any], name: str) -> None:
    """An example does what it says."""
    text = EXAMPLES_BY_NAME[name].replace(DEFAULT_URL, names[DEFAULT_URL])
    test = doctest.DocTestParser().get_doctest(text, dict(names), name, None, 0)
    assert test.examples
    said: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(test, out=said.append)
    assert runner.failures == 0, "".join(said)
