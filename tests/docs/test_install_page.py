"""docs/install.md: its overlay renders as it says, and what it tells of image and chart is so."""

import re
import shlex
from operator import itemgetter
from pathlib import Path

import pytest
import yaml
from tests.deploy.rendering import ACCOUNT, CLUSTER_WIDE, DEPLOY, SHARDED, kustomized, overlay
from tests.docs.test_docs import fenced

from playground.kubectl import Kubectl

PAGE = (DEPLOY.parent / "docs" / "install.md").read_text(encoding="utf-8")
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.cluster
def test_the_overlay_of_the_page_names_image_and_options(kubectl: Kubectl, tmp_path: Path) -> None:
    """With the checkout in the place of the repository that it names."""
    shown, _ = fenced(PAGE, "yaml")
    wanted = yaml.safe_load(shown)
    (resource,) = wanted.pop("resources")
    folder = overlay(tmp_path / "mine", CLUSTER_WIDE, **{key: wanted[key] for key in ("images", "patches")})
    deployment = kustomized(kubectl, folder)["Deployment", ACCOUNT, ACCOUNT]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]

    assert (DEPLOY.parent / re.sub(r".*//|\?.*", "", resource)).samefile(CLUSTER_WIDE)
    assert container["image"] == container["env"][0]["value"] == "images.example/tinker-operator:0.1.0"
    assert container["args"][-1] == "--cluster-id=eu-1"


@pytest.mark.cluster
def test_the_page_s_way_to_another_number_of_shards(kubectl: Kubectl, tmp_path: Path) -> None:
    """Both places, and nothing else."""
    _, shown = fenced(PAGE, "yaml")
    wanted = yaml.safe_load(shown)
    (resource,) = wanted.pop("resources")
    changed = kustomized(kubectl, overlay(tmp_path / "mine", SHARDED, patches=wanted["patches"]))
    given = kustomized(kubectl, SHARDED)
    name = ("StatefulSet", ACCOUNT, ACCOUNT)
    spec = given[name]["spec"]
    (shards,) = [one for one in spec["template"]["spec"]["containers"][0]["env"] if one["name"] == "SHARDS"]

    assert (DEPLOY.parent / re.sub(r".*//|\?.*", "", resource)).samefile(SHARDED)
    assert (spec["replicas"], shards["value"]) == (6, "3")
    spec["replicas"], shards["value"] = 8, "4"
    order = {"env": sorted(spec["template"]["spec"]["containers"][0]["env"], key=itemgetter("name"))}
    spec["template"]["spec"]["containers"][0] |= order
    of = changed[name]["spec"]["template"]["spec"]["containers"][0]
    of |= {"env": sorted(of["env"], key=itemgetter("name"))}
    assert changed == given


@pytest.mark.pure
def test_every_folder_and_file_of_its_commands_exists() -> None:
    """As one who copies them from the root of the checkout."""
    words = {word for block in fenced(PAGE, "sh") for word in shlex.split(block, comments=True)}
    named = {word for word in words if word.startswith("deploy/") and not word.startswith("deployment/")}

    assert named == {"deploy/Dockerfile", "deploy/helm"}
    assert [word for word in named if not (DEPLOY.parent / word).exists()] == []


@pytest.mark.pure
def test_the_image_is_made_as_the_page_says() -> None:
    """Every stage on a base by digest, the digest without a default; not root; with its bill of materials."""
    stages = re.findall(r"^FROM (\S+)", DOCKERFILE, flags=re.MULTILINE)
    arguments = dict(re.findall(r"^ARG (\w+)(?:=(\S+))?$", DOCKERFILE, flags=re.MULTILINE))

    assert stages == ["${BASE}@${DIGEST}"] * 2
    assert arguments["DIGEST"] == ""
    assert re.findall(r"^USER (\S+)", DOCKERFILE, flags=re.MULTILINE) == ["65532:65532"]
    assert 'dev.tinker-operator.sbom="/app/sbom.cdx.json"' in DOCKERFILE
    assert "-o /app/sbom.cdx.json" in DOCKERFILE
    assert "--constraint .constraints.txt" in DOCKERFILE


@pytest.mark.pure
def test_what_the_image_is_made_from_reaches_the_build() -> None:
    """The ignore file lets in each thing that is copied, and nothing else."""
    ignored = (DEPLOY.parent / ".dockerignore").read_text(encoding="utf-8").split()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, flags=re.MULTILINE)
    sources = {word for line in copied for word in line.split()}

    assert ignored[0] == "*"
    assert {word[1:] for word in ignored if word.startswith("!")} == sources
    assert all((DEPLOY.parent / source).exists() for source in sources)
