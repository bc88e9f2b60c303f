"""What Argo CD shows of our objects, and what its actions do: its own test files, and the same words as kstatus."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.deploy.argocd import FOLDER, HEALTHS, SCRIPTS, acted, actions, as_kstatus, health

from playground.argocd import CONFIG_MAP, config_map
from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.meta import RECONCILE_AT
from tinker_operator.api.training_run import TrainingRun

pytestmark = pytest.mark.pure
KINDS = {"TrainingRun": TrainingRun, "CheckpointPolicy": CheckpointPolicy}


def loaded(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content


def health_tests() -> list[Any]:
    return [
        pytest.param(kind, one, id=f"{kind} {one['inputPath']}")
        for kind in KINDS
        for one in loaded(SCRIPTS / kind / "health_test.yaml")["tests"]
    ]


def action_tests(section: str) -> list[Any]:
    return [
        pytest.param(kind, one, id=f"{kind} {one.get('action', 'offers')} {one['inputPath']}")
        for kind in KINDS
        for one in loaded(SCRIPTS / kind / "actions" / "action_test.yaml")[section]
    ]


@pytest.mark.parametrize(("kind", "case"), health_tests())
def test_the_health_is_what_the_test_file_says_and_what_kstatus_says(kind: str, case: dict[str, Any]) -> None:
    """Each file is an object as the API server gave it out."""
    obj = loaded(SCRIPTS / kind / case["inputPath"])
    KINDS[kind].model_validate(obj)

    assert health(kind, obj) == (case["healthStatus"]["status"], case["healthStatus"]["message"])
    assert case["healthStatus"]["status"] == as_kstatus(obj)


@pytest.mark.parametrize("kind", KINDS)
def test_every_health_has_an_example_and_every_example_a_test(kind: str) -> None:
    """The four that an object can have."""
    cases = loaded(SCRIPTS / kind / "health_test.yaml")["tests"]

    assert {one["healthStatus"]["status"] for one in cases} == HEALTHS
    assert sorted(one["inputPath"] for one in cases) == sorted(
        f"testdata/{it.name}" for it in (SCRIPTS / kind / "testdata").iterdir()
    )


@pytest.mark.parametrize(("kind", "case"), action_tests("discoveryTests"))
def test_the_actions_on_offer_are_what_the_test_file_says(kind: str, case: dict[str, Any]) -> None:
    """Only what would change something can be chosen."""
    obj = loaded(SCRIPTS / kind / "actions" / case["inputPath"])

    assert actions(kind, obj) == {one["name"]: not one["disabled"] for one in case["result"]}


@pytest.mark.parametrize(("kind", "case"), action_tests("actionTests"))
def test_an_action_changes_what_the_test_file_says_and_nothing_else(kind: str, case: dict[str, Any]) -> None:
    """The time of a reconcile is the only thing that differs from one call to the next."""
    folder = SCRIPTS / kind / "actions"
    found = acted(kind, case["action"], loaded(folder / case["inputPath"]))
    expected = loaded(folder / case["expectedOutputPath"])
    KINDS[kind].model_validate(found)
    if case["action"] == "reconcile":
        assert found["metadata"]["annotations"].pop(RECONCILE_AT).endswith("Z")
        del expected["metadata"]["annotations"][RECONCILE_AT]

    assert found == expected


@pytest.mark.parametrize("kind", KINDS)
def test_every_action_has_a_test(kind: str) -> None:
    """And each is on offer for some object."""
    folder = SCRIPTS / kind / "actions"
    cases = loaded(folder / "action_test.yaml")

    assert {one["action"] for one in cases["actionTests"]} == {it.parent.name for it in folder.glob("*/action.lua")}
    assert all(actions(kind, loaded(folder / one["inputPath"]))[one["action"]] for one in cases["actionTests"])


def test_the_config_map_says_what_the_files_say() -> None:
    """Whoever gives the scripts to Argo CD as argocd-cm gets the same."""
    text = (FOLDER / CONFIG_MAP).read_text()
    data = yaml.safe_load(text)["data"]

    assert text == config_map(FOLDER)
    for kind in KINDS:
        name = f"tinker-operator.dev_{kind}"
        assert data[f"resource.customizations.health.{name}"] == (SCRIPTS / kind / "health.lua").read_text()
        given = yaml.safe_load(data[f"resource.customizations.actions.{name}"])
        for one in given["definitions"]:
            script = (SCRIPTS / kind / "actions" / one["name"] / "action.lua").read_text()
            assert one["action.lua"] == script


def test_the_sample_goes_wave_by_wave_over_folders_that_exist() -> None:
    """CRDs, operator, runs; the CRDs are never pruned."""
    found = list(yaml.safe_load_all((FOLDER / "application.yaml").read_text()))
    waves = [int(one["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"]) for one in found]
    own = [one["spec"]["source"]["path"] for one in found[:-1]]

    assert waves == sorted(set(waves))
    assert own == ["crds", "deploy/base"]
    assert all((FOLDER.parents[1] / path).is_dir() for path in own)
    assert found[0]["spec"]["syncPolicy"]["automated"]["prune"] is False


def test_the_page_tells_every_health_and_every_action_and_no_other() -> None:
    """docs/argocd.md, whose tables are what people look things up in."""
    page = (FOLDER.parents[1] / "docs" / "argocd.md").read_text()
    told = re.findall(r"^\| (\w+) \| ", page, flags=re.MULTILINE)
    named = {word for line in page.splitlines() if line.startswith("| ") for word in re.findall(r"`([a-z-]+)`", line)}

    assert set(told) - {"Health", "Kind", "Both"} == HEALTHS
    assert named == {it.parent.name for it in SCRIPTS.glob("*/actions/*/action.lua")}


def test_both_kinds_are_judged_by_the_same_script() -> None:
    """But for the one line of comment that is about the kind."""
    one, other = ((SCRIPTS / kind / "health.lua").read_text().splitlines() for kind in KINDS)

    assert [line for line in one if not line.startswith("--")] == [line for line in other if not line.startswith("--")]
