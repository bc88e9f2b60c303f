"""TrainingRun: which run should be alive at the Tinker service, and how it comes back."""

from pydantic import ConfigDict

from tinker_operator.api.meta import GROUP, VERSION, ApiModel, ObjectMeta
from tinker_operator.api.rules import rule, rules
from tinker_operator.api.run_spec import TrainingRunSpec
from tinker_operator.api.run_status import TrainingRunStatus

NAME_LIMIT = 240
"""Characters of metadata.name: the hand-over ConfigMap's name, which adds `-handover` to it, must fit in 253."""


class TrainingRun(ApiModel):
    """A training run of the Tinker service, kept alive by declaration."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                f"self.metadata.name.size() <= {NAME_LIMIT}",
                f"metadata.name: longer than {NAME_LIMIT} characters, which leaves no room for the name of the "
                "hand-over ConfigMap; choose a shorter name",
                path=".metadata",
            ),
            rule(
                "!has(oldSelf.spec.run.create) || !has(oldSelf.status) || !has(oldSelf.status.trainingRunId) || "
                "(has(self.spec.run.create) && self.spec.run.create == oldSelf.spec.run.create)",
                "spec.run.create: the run exists, so this cannot change; apply a TrainingRun of another name instead",
                path=".spec.run",
            ),
            rule(
                "!has(oldSelf.status) || !has(oldSelf.status.creation) || "
                "has(oldSelf.status.creation.refusedGeneration) || self.spec.run == oldSelf.spec.run",
                "spec.run: the run is being made right now; wait until status.trainingRunId shows it, "
                "or delete this TrainingRun",
                path=".spec.run",
            ),
        )
    )

    api_version: str = f"{GROUP}/{VERSION}"
    kind: str = "TrainingRun"
    metadata: ObjectMeta
    spec: TrainingRunSpec
    status: TrainingRunStatus = TrainingRunStatus()
