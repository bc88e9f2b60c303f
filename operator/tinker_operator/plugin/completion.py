"""Completion in shells: `kubectl tinker completion SHELL` for the script's own name, and kubectl's own for the rest.

kubectl completes a plugin's words by an executable `kubectl_complete-tinker` beside it: it is given the words so far,
and prints candidates, one a line with what they mean after a tabulator, and last a directive.
"""

import sys
from contextlib import suppress
from typing import NoReturn

import click
from click.shell_completion import CompletionItem, ShellComplete, get_completion_class

from tinker_operator.cli.settings import InvalidSettings
from tinker_operator.plugin.endings import DONE

PROGRAM = "kubectl-tinker"
COMPLETE_VARIABLE = "_KUBECTL_TINKER_COMPLETE"
"""By it the scripts of shells ask for words, as click has it."""
SHELLS = ("bash", "zsh", "fish")
_NO_FILES, _FILES = ":4", ":0"
"""cobra's ShellCompDirectiveNoFileComp and ShellCompDirectiveDefault, which kubectl reads."""


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> int:
    """Print a shell's script that completes the words of kubectl-tinker.

    For `kubectl tinker` itself nothing is needed but kubectl's own completion.
    """
    found = get_completion_class(shell)
    if found is None:
        raise InvalidSettings(f"there is no completion for {shell}: choose one of {', '.join(SHELLS)}")
    script = found(context.find_root().command, {}, PROGRAM, COMPLETE_VARIABLE)
    # Not `source()`, which asks the bash of this machine for its version: it may be read on another.
    click.echo(script.source_template % script.source_vars())
    return DONE


class KubectlComplete(ShellComplete):
    """click's completion of words that kubectl has taken apart already.

    Args:
        cli: The command.
        words: Those so far; the last is the one that is completed, and may be empty.
    """

    name = "kubectl"
    source_template = ""

    def __init__(self, cli: click.Command, words: list[str]) -> None:
        super().__init__(cli, {}, PROGRAM, COMPLETE_VARIABLE)
        self._words = words

    def get_completion_args(self) -> tuple[list[str], str]:
        """Returns the words before, and the one that is completed."""
        return self._words[:-1], self._words[-1] if self._words else ""

    def format_completion(self, item: CompletionItem) -> str:
        """Returns one line; a description must not hold a line break."""
        text = " ".join((item.help or "").split())
        return f"{item.value}\t{text}" if text else str(item.value)

    def answer(self) -> str:
        """Returns what kubectl reads."""
        items = self.get_completions(*self.get_completion_args())
        lines = [self.format_completion(item) for item in items if item.type == "plain"]
        return "\n".join([*lines, _NO_FILES if all(item.type == "plain" for item in items) else _FILES])


def main() -> NoReturn:
    """Answers kubectl; an error is no answer, since a shell has no place for one."""
    from tinker_operator.plugin.main import command  # noqa: PLC0415 - it has this module's command

    with suppress(Exception):
        click.echo(KubectlComplete(command, sys.argv[1:]).answer())
    sys.exit(0)
