"""`kubectl tinker plan` on files: forms, exit statuses, and errors of one line with a remedy."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.core.strategies_policy import NOW, World, checkpoint, policy, training_run
from tests.plugin.snapshots import everyday, snapshot_of

from tinker_operator.core.world import ObservedRun
from tinker_operator.plugin.main import main
from tinker_operator.plugin.snapshot import dumped

pytestmark = pytest.mark.pure


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """A dump of a world that is seen whole: `old` would go."""
    listed = {"r1": (checkpoint("old", 9), checkpoint("new"))}
    world = World((policy(),), (training_run(),), listed, {"r1": ObservedRun("r1", "m")}, {})
    path = tmp_path / "dump.json"
    path.write_text(dumped(snapshot_of(world)))
    return path


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> object:
    """Runs the command and returns its exit status."""
    monkeypatch.setattr(sys, "argv", ["kubectl-tinker", *map(str, arguments)])
    with pytest.raises(SystemExit) as ending:
        main()
    return ending.value.code


def test_json_and_yaml_say_the_same(
    sound: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, "plan", "-f", sound, "-o", "json") == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert ended(monkeypatch, "plan", "keep", "-f", sound, "-o", "yaml") == 0
    assert yaml.safe_load(capsys.readouterr().out) == told
    assert (told["kind"], told["asOf"]) == ("RetentionPlan", NOW.isoformat().replace("+00:00", "Z"))
    (first, second) = told["policies"][0]["checkpoints"]
    assert (first["path"], first["fate"], first["rule"]) == ("tinker://r1/weights/old", "Goes", "NotKept")
    assert (second["fate"], second["because"]) == ("Stays", ["KeepLast", "MinimumGood", "Newest"])


def test_a_gap_is_told_by_the_exit_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dump = tmp_path / "dump.json"
    dump.write_text(dumped(snapshot_of(everyday())))
    assert ended(monkeypatch, "plan", "-f", dump) == 1
    assert "chem-rl" in capsys.readouterr().out


def test_an_edited_policy_is_tried_on_a_dump(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    edited = tmp_path / "policy.yaml"
    manifest = {
        "apiVersion": "tinker-operator.dev/v1alpha1",
        "kind": "CheckpointPolicy",
        "metadata": {"name": "keep", "namespace": "lab"},
        "spec": {"selector": {"matchLabels": {}}, "retention": {"action": "Delete", "keepLast": 2}},
    }
    edited.write_text(yaml.safe_dump(manifest))
    assert ended(monkeypatch, "plan", "-f", sound, "-f", edited, "-o", "json") == 0
    (told,) = json.loads(capsys.readouterr().out)["policies"]
    assert told["edited"]
    assert {(it["fate"], it["was"]) for it in told["checkpoints"]} == {("Stays", "Goes"), ("Stays", "Stays")}


BAD = "apiVersion: tinker-operator.dev/v1alpha1\nkind: CheckpointPolicy\nmetadata: {name: keep}\n"
CASES = [
    pytest.param(["--as-of", "yesterday"], "", "is no time with a zone", id="a time that is none"),
    pytest.param(["--as-of", "2026-01-31T12:00:00"], "", "is no time with a zone", id="a time without a zone"),
    pytest.param(["-n", "a/b"], "", "is no name of a namespace", id="a namespace that can be none"),
    pytest.param(["-o", "xml"], "", "'xml' is not one of", id="an unknown form"),
    pytest.param(["-f", "/nowhere.yaml"], "", "No such file", id="a file that is not there"),
    pytest.param(["-f", "FILE"], "kind: Pod", "give a CheckpointPolicy manifest", id="a file of another kind"),
    pytest.param(["-f", "FILE"], "{", "neither YAML nor JSON", id="a file of no form"),
    pytest.param(
        ["-f", "FILE"],
        BAD + "spec: {selector: {matchLabels: {}}, retention: {keepLast: 0}}",
        "keepLast",
        id="a bad number",
    ),
    pytest.param(
        ["-f", "FILE"], BAD + "spec: {selector: {matchLabels: {}}, retention: {}}", "keeps nothing", id="no rule at all"
    ),
    pytest.param(["--kubeconfig", "/nowhere"], "", "Name a kubeconfig", id="a kubeconfig that is not there"),
    pytest.param(["-f", "DUMP", "none"], "", "there is no CheckpointPolicy none", id="a policy that is not there"),
    pytest.param(["-f", "DUMP", "-f", "DUMP"], "", "more than one dump", id="two dumps"),
    pytest.param(
        ["-f", "DUMP", "--dump", "/nowhere/dump"], "", "that can be written", id="a dump that cannot be written"
    ),
]


@pytest.mark.parametrize(("arguments", "text", "said"), CASES)
def test_a_bad_argument_is_one_line_with_a_remedy(
    arguments: list[str], text: str, said: str, sound: Path, request: pytest.FixtureRequest
) -> None:
    given = sound.with_name("given.yaml")
    given.write_text(text)
    places = {"FILE": str(given), "DUMP": str(sound)}
    monkeypatch, capsys = (request.getfixturevalue(name) for name in ("monkeypatch", "capsys"))
    assert ended(monkeypatch, "plan", *(places.get(it, it) for it in arguments)) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
