"""docs/plan.md says what `kubectl tinker plan` does."""

import re

import click
import pytest
from tests.docs.test_docs import PAGES, coded, table

from tinker_operator.api.meta import ApiModel
from tinker_operator.plugin.main import command
from tinker_operator.plugin.report import Fate, Gap, PlannedCheckpoint, PlanReport, PolicyReport, Sum
from tinker_operator.plugin.words import FATES

pytestmark = pytest.mark.pure
PAGE = PAGES["docs/plan.md"]


def fields(model: type[ApiModel]) -> set[str]:
    return {str(field.alias or name) for name, field in model.model_fields.items()}


def test_every_fate_has_its_row_in_the_words_of_the_table() -> None:
    rows = {row["Fate"].strip("`"): row["In the table"] for row in table(PAGE, "Fate")}
    assert rows.keys() == {str(fate) for fate in Fate}
    assert [fate for fate in Fate if FATES[fate] not in rows[fate] and fate is not Fate.WAITS] == []


@pytest.mark.parametrize(
    ("heading", "model"), [("Field of a policy", PolicyReport), ("Field of a checkpoint", PlannedCheckpoint)]
)
def test_every_field_has_its_row(heading: str, model: type[ApiModel]) -> None:
    named = [name for row in table(PAGE, heading) for name in coded(row[heading])]
    assert sorted(named) == sorted(fields(model))


def test_the_fields_around_them_are_named() -> None:
    assert fields(PlanReport) - {"kind"} | fields(Gap) | fields(Sum) <= coded(PAGE)


def test_every_option_of_the_examples_exists_and_every_option_is_told() -> None:
    plan = command.commands["plan"]
    known = {name for one in plan.params if isinstance(one, click.Option) for name in one.opts}
    assert set(re.findall(r"(?<![-\w])--?[a-z][a-z-]*", PAGE)) & {"--all", "--as-of", "--dump", "-f", "-o"} <= known
    assert {name for name in known if name.startswith("--")} - {"--namespace", "--filename", "--output"} <= set(
        re.findall(r"--[a-z-]+", PAGE)
    )
