"""The commands from outside: what they say of themselves, how they end, and how shells complete them."""

import io
import sys

import click
import pytest
from tests.plugin.test_plan_command import ended

from tinker_operator.cli.settings import InvalidSettings
from tinker_operator.engine.kube_errors import (
    KubeError,
    KubeForbidden,
    KubeUnavailable,
    ObjectGone,
    WriteConflict,
)
from tinker_operator.plugin import main as main_module
from tinker_operator.plugin.completion import KubectlComplete
from tinker_operator.plugin.declared import asked_of_a_person
from tinker_operator.plugin.endings import Declined, Failed
from tinker_operator.plugin.main import COMMANDS, command

pytestmark = pytest.mark.pure
PATH = "tinker://r:train:0/weights/a"


@pytest.mark.parametrize("one", COMMANDS, ids=lambda one: one.name)
def test_every_command_explains_itself_and_each_of_its_options(one: click.Command) -> None:
    assert one.help
    assert one.help.splitlines()[0].endswith(".")
    assert [it.name for it in one.params if isinstance(it, click.Option) and not it.help] == []


@pytest.mark.parametrize("one", [it for it in COMMANDS if it.name != "completion"], ids=lambda one: one.name)
def test_every_command_has_the_same_forms_and_the_same_place(one: click.Command) -> None:
    options = {name for it in one.params for name in it.opts}
    assert {"-o", "-n", "--context", "--kubeconfig", "--no-color", "--allow-base-url"} <= options
    (form,) = [it for it in one.params if "-o" in it.opts]
    assert isinstance(form.type, click.Choice)
    assert {"json", "yaml"} <= set(form.type.choices)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["status", "-n", "a/b"], "is no name of a namespace", id="a namespace that can be none"),
        pytest.param(["status", "--kubeconfig", "/nowhere"], "Name a kubeconfig", id="no kubeconfig"),
        pytest.param(["status", "--every", "0", "-w"], "--every", id="a pause that is none"),
        pytest.param(["history"], "Missing argument 'RUN'", id="no run"),
        pytest.param(["history", "ckp/keep"], "is no TrainingRun", id="a policy in place of a run"),
        pytest.param(["validate", "step-3"], "tinker://", id="no path"),
        pytest.param(["validate", PATH, "--level", "Best"], "archive", id="an unknown level"),
        pytest.param(["recover", "a", "--from", "step-3", "-n", "lab"], "tinker://", id="no path to restore"),
        pytest.param(["recover", "a", "--from", PATH, "--reset", "-n", "lab"], "exclude", id="back and forth"),
        pytest.param(["completion", "tcsh"], "'tcsh' is not one of", id="a shell that is not known"),
    ],
)
def test_a_bad_argument_is_one_line_with_a_remedy(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, *arguments) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        pytest.param(Declined("It is healthy."), 3, "It is healthy.", id="declined"),
        pytest.param(Failed("It has no key."), 1, "It has no key.", id="failed"),
        pytest.param(WriteConflict("It changed.", "x"), 1, "repeat the command", id="changed meanwhile"),
        pytest.param(KubeForbidden("No.", "x"), 1, "--context", id="not allowed"),
        pytest.param(KubeUnavailable("No answer.", "x"), 1, "Try again", id="no answer"),
        pytest.param(ObjectGone("It is gone.", "Create it."), 1, "Create it.", id="gone"),
    ],
)
def test_an_end_has_its_status_and_tells_a_person_what_to_do(
    error: Exception, status: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The operator's own remedies say what it does by itself."""

    @click.command()
    def fails() -> None:
        raise error

    monkeypatch.setitem(main_module.command.commands, "fails", fails)
    assert ended(monkeypatch, "fails") == status
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert not isinstance(error, KubeError) or error.message in told


def test_where_nobody_can_be_asked_nothing_is_taken_for_a_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe that says y is nobody."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(InvalidSettings, match="--yes"):
        asked_of_a_person("Go?")


def completed(*words: str) -> list[str]:
    return [line.partition("\t")[0] for line in KubectlComplete(command, list(words)).answer().splitlines()]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["sta"], ["status", ":4"]),
        (["publish", "--y"], ["--yes", ":4"]),
        (["status", "-o", "y"], ["yaml", ":4"]),
        (["completion", ""], ["bash", "zsh", "fish", ":4"]),
        (["download", "--to", ""], [":0"]),
        (["nonsense", ""], [":4"]),
    ],
    ids=["a command", "an option", "a form", "a shell", "a folder", "no command"],
)
def test_kubectl_is_offered_the_words_that_fit(words: list[str], offered: list[str]) -> None:
    """And told whether files may stand there."""
    assert completed(*words)[-len(offered) :] == offered


def test_each_word_says_what_it_means_on_one_line() -> None:
    lines = KubectlComplete(command, [""]).answer().splitlines()
    assert len(lines) == len(COMMANDS) + 1
    assert all("\t" in line and line.partition("\t")[2] for line in lines[:-1])


def test_names_are_not_offered_where_no_cluster_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    assert completed("history", "") == [":4"]


@pytest.mark.parametrize(("shell", "cursor"), [("bash", "1"), ("zsh", "1"), ("fish", "hist")])
def test_the_script_of_a_shell_asks_the_command_and_is_answered(
    shell: str, cursor: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The script names the variable by which the command answers, and the command does."""
    assert ended(monkeypatch, "completion", shell) == 0
    script = capsys.readouterr().out
    assert "kubectl-tinker" in script
    assert "_KUBECTL_TINKER_COMPLETE" in script
    monkeypatch.setenv("_KUBECTL_TINKER_COMPLETE", f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", "kubectl-tinker hist")
    monkeypatch.setenv("COMP_CWORD", cursor)
    assert ended(monkeypatch) == 0
    assert "history" in capsys.readouterr().out
