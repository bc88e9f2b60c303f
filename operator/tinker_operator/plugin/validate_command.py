"""`kubectl tinker validate`: whether a checkpoint could be restored, before anybody needs it."""

import uuid
from datetime import datetime

import click
from pydantic import Field
from rich.text import Text

from tinker_operator.api.meta import GROUP, VERSION, ApiModel
from tinker_operator.api.recovery_spec import ValidationLevel
from tinker_operator.api.recovery_status import Verdict
from tinker_operator.api.validation_status import CheckpointFinding
from tinker_operator.cli.commands import until_signalled
from tinker_operator.plugin.endings import DONE, NO, Declined
from tinker_operator.plugin.names import path_argument
from tinker_operator.plugin.place import Place, placed
from tinker_operator.plugin.plan_command import utc_now
from tinker_operator.plugin.printing import formed, tell
from tinker_operator.plugin.proving import Proving
from tinker_operator.plugin.services import opened
from tinker_operator.plugin.words import printable
from tinker_operator.tinker.paths import CheckpointKind, TinkerPath

_LEVELS = click.Choice([str(level) for level in ValidationLevel], case_sensitive=False)


class Proof(ApiModel):
    """What a proof found."""

    api_version: str = f"{GROUP}/{VERSION}"
    kind: str = "Proof"
    path: str = Field(description="Path at the service.")
    time: datetime | None = Field(default=None, description="When it was saved.")
    size_bytes: int | None = Field(default=None, description="Size in bytes, if the service tells.")
    training_run: str | None = Field(
        default=None, description="TrainingRun that it was compared with; absent: the run that saved it."
    )
    level: ValidationLevel = Field(description="How it was proven.")
    verdict: Verdict = Field(description="Good, or why not.")
    message: str = Field(default="", description="What the service said.")


@click.command()
@path_argument
@placed
@formed
@click.option(
    "--level", type=_LEVELS, default=str(ValidationLevel.METADATA), show_default=True, help="How it is proven."
)
def validate(path: TinkerPath, place: Place, form: str, no_color: bool, level: str) -> int:
    """Tell whether a checkpoint could be restored.

    PATH is tinker://<run>/weights/<name>. It is the proof of spec.validation: Listed, what the service lists; Metadata,
    base model and rank too; Load, a load in a session apart; Archive, its tensors too.

    Exits with 0 when it is good, 3 when it is not, 1 when the service failed, which says nothing of it.
    """
    if path.kind is not CheckpointKind.WEIGHTS:
        raise Declined(f"No training can resume from a checkpoint of kind {path.kind}: give one of kind weights.")
    found = until_signalled(_proven(path, place, ValidationLevel(level)))
    proof = Proof.model_validate({**found.model_dump(), "training_run": found.training_run or None})
    tell(proof, form, lambda console: console.print(_line(proof), soft_wrap=True), no_color=no_color)
    return DONE if proof.verdict is Verdict.GOOD else NO


async def _proven(path: TinkerPath, place: Place, level: ValidationLevel) -> CheckpointFinding:
    async with opened(place, path) as reach:
        proving = Proving(reach.client, str(uuid.uuid4()), utc_now)
        return await proving.proven(reach.run, await reach.listed(), level)


def _line(proof: Proof) -> Text:
    style = "green" if proof.verdict is Verdict.GOOD else "bold red"
    said = f"  {printable(proof.message)}" if proof.message else ""
    return Text.assemble((str(proof.verdict), style), f"  {proof.path}  ({proof.level})", (said, "dim"))
