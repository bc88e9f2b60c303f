"""How every command prints: a form for people, and the same as JSON or YAML for programs."""

from collections.abc import Callable

import click
import yaml
from rich.console import Console

from tinker_operator.api.meta import ApiModel, to_wire

TEXT = "table"
FORMS = (TEXT, "json", "yaml")

_FORM = click.option("-o", "--output", "form", type=click.Choice(FORMS), default=TEXT, help="Form of what is printed.")
_PLAIN = click.option(
    "--no-color", is_flag=True, help="No colours. There are none where the output is no terminal either."
)


def formed(function: Callable[..., int]) -> Callable[..., int]:
    """Gives a command the options of its output, and its function `form` and `no_color`."""
    wrapped: Callable[..., int] = _FORM(_PLAIN(function))
    return wrapped


def console_of(*, no_color: bool) -> Console:
    """Returns where people read: without colours if it is no terminal, if NO_COLOR is set or if so asked."""
    return Console(no_color=no_color or None, highlight=False)


def as_text(report: ApiModel, form: str) -> str:
    """Returns a report as JSON or YAML, with a line break at its end.

    Args:
        report: What to print.
        form: `json` or `yaml`.
    """
    if form == "json":
        return report.model_dump_json(by_alias=True, exclude_none=True, indent=2) + "\n"
    return yaml.safe_dump(to_wire(report), sort_keys=False, allow_unicode=True)


def tell(report: ApiModel, form: str, show: Callable[[Console], None], *, no_color: bool) -> None:
    """Prints a report in the form that was asked for.

    Args:
        report: What to print.
        form: One of `FORMS`.
        show: Prints it for people.
        no_color: Whether colours are unwanted.
    """
    if form == TEXT:
        show(console_of(no_color=no_color))
    else:
        click.echo(as_text(report, form), nl=False)
