"""What helm renders is what Kubernetes takes: every field known, in all supported versions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import jsonschema
import pytest

from tests.support.chart.rendering import (
    CHART,
    COMBINATIONS,
    KUBERNETES,
    HelmError,
    Object,
    Release,
    containers_of,
    pods_of,
    render,
    run_helm,
)
from tests.support.chart.schemas import check_object

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_lint(tmp_path: Path) -> None:
    """Helm's own check has nothing to say."""
    said = run_helm("lint", "--strict", str(CHART), *Release().arguments(tmp_path), folder=tmp_path)
    assert "0 chart(s) failed" in said


@pytest.mark.parametrize("kubernetes", KUBERNETES)
def test_objects_are_strictly_valid(
    combination: str, kubernetes: str, rendered: Callable[[str], list[Object]]
) -> None:
    """No object has a field that Kubernetes does not know, or one of another type."""
    for each in rendered(combination):
        check_object(each, kubernetes)


def test_a_misspelt_field_is_found(rendered: Callable[[str], list[Object]]) -> None:
    """The check above can fail: for a built-in kind and for a custom one."""
    found = {each["kind"]: json.loads(json.dumps(each)) for each in rendered("everything optional")}
    found["Service"]["spec"]["selektor"] = {}
    found["ScaledObject"]["spec"]["maxReplicas"] = 3
    for each in (found["Service"], found["ScaledObject"]):
        with pytest.raises(jsonschema.ValidationError, match="unexpected"):
            check_object(each, KUBERNETES[-1])
    with pytest.raises(FileNotFoundError):
        check_object({"apiVersion": "v1", "kind": "Servis"}, KUBERNETES[-1])


def test_names_are_unique(combination: str, rendered: Callable[[str], list[Object]]) -> None:
    """No object is rendered twice, and no list has two entries of one name."""
    objects = rendered(combination)
    names = [(each["kind"], each["metadata"]["name"]) for each in objects]
    assert len(names) == len(set(names))
    for pod in pods_of(objects).values():
        lists = [pod["spec"].get("volumes", [])]
        for container in containers_of(pod):
            lists += [container.get("env", []), container.get("ports", [])]
            paths = [mount["mountPath"] for mount in container["volumeMounts"]]
            assert len(paths) == len(set(paths))
        for entries in lists:
            listed = [entry["name"] for entry in entries]
            assert len(listed) == len(set(listed))


def test_mounts_have_volumes(combination: str, rendered: Callable[[str], list[Object]]) -> None:
    """Every mount names a volume, every volume is mounted, and the chart's own ones exist."""
    objects = rendered(combination)
    existing = {(each["kind"], each["metadata"]["name"]) for each in objects}
    for pod in pods_of(objects).values():
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        mounted = {m["name"] for c in containers_of(pod) for m in c["volumeMounts"]}
        claimed = {
            claim["metadata"]["name"]
            for each in objects
            if each.get("spec", {}).get("template") == pod
            for claim in each["spec"].get("volumeClaimTemplates", ())
        }
        assert mounted == set(volumes) | claimed
        for volume in volumes.values():
            if "configMap" in volume:
                name = volume["configMap"]["name"]
                assert name == "pccs-ca" or ("ConfigMap", name) in existing


def test_selectors_never_change(rendered: Callable[[str], list[Object]]) -> None:
    """Selectors hold no version: they cannot be changed by an upgrade."""
    for each in rendered("nonsgx"):
        if each["kind"] in {"Deployment", "StatefulSet"}:
            labels = each["spec"]["selector"]["matchLabels"]
            assert set(labels) == {
                f"app.kubernetes.io/{n}" for n in ("name", "instance", "component")
            }
            assert labels.items() <= each["spec"]["template"]["metadata"]["labels"].items()


def test_rendering_is_deterministic(tmp_path: Path) -> None:
    """Nothing is drawn at random: a GitOps tool sees no change where there is none."""
    release = COMBINATIONS["everything optional"]
    assert render(release, tmp_path) == render(release, tmp_path)


def test_changed_settings_roll_the_pods(
    rendered: Callable[[str], list[Object]], tmp_path: Path
) -> None:
    """A change of a ConfigMap changes the pods that read it, and no others."""
    changed = render(Release(values={"gateway": {"settings": {"drain_s": 30}}}), tmp_path)
    before, after = pods_of(rendered("nonsgx")), pods_of(changed)
    assert {name for name in before if before[name] != after[name]} == {"Deployment/demo-gateway"}


def test_an_old_cluster_is_refused(tmp_path: Path) -> None:
    """A Kubernetes that lacks what the chart uses is refused."""
    with pytest.raises(HelmError, match="incompatible with Kubernetes"):
        render(Release(), tmp_path, kubernetes="1.30")


def test_packages_are_the_same_each_time(tmp_path: Path) -> None:
    """The packed chart has the same bytes when it is packed again, so that it can be signed."""
    archives = []
    for name in ("first", "second"):
        run_helm("package", str(CHART), f"--destination={tmp_path / name}", folder=tmp_path)
        (archive,) = (tmp_path / name).glob("sealflow-*.tgz")
        archives.append(archive.read_bytes())
    assert archives[0] == archives[1]
