"""All that a plan is made from, as it was at one moment; and the same in a file, to plan from again.

A file holds no secrets: of an object only what retention reads is written, and of metadata that a training loop wrote
the values that are numbers, or pin. Everything else of it keeps its key and loses its value, so that each plan comes
out the same.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from pydantic import Field, ValidationError

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.meta import ApiModel, ObjectMeta
from tinker_operator.api.recovery_spec import Recovery
from tinker_operator.api.run_spec import RunSource, TrainingRunSpec
from tinker_operator.api.training_run import TrainingRun
from tinker_operator.core.export_references import with_exports
from tinker_operator.core.policy_judgement import policy_key
from tinker_operator.core.policy_references import followed_runs, references, run_key
from tinker_operator.core.policy_seen import Governed, PolicySeen, governs
from tinker_operator.core.policy_verdicts import with_proofs
from tinker_operator.core.world import Absent, Answer, CheckpointsOf, Fault, ObservedCheckpoint, ObservedRun, RunView

RunKey = tuple[str, str]
"""Namespace and name of a TrainingRun."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What the service says of one run to one TrainingRun."""

    view: RunView = None
    listing: Answer | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Cluster and service at one moment.

    Attributes:
        observed_at: The moment.
        whole: False when only one namespace of the cluster was read: references from others are unknown.
        runs: All TrainingRuns that were read.
        policies: All policies that were read.
        sights: What the service says, by TrainingRun and run id.
    """

    observed_at: datetime
    whole: bool
    runs: tuple[TrainingRun, ...]
    policies: tuple[CheckpointPolicy, ...]
    sights: Mapping[RunKey, Mapping[str, Sight]]

    def seen(self, policy: CheckpointPolicy) -> PolicySeen:
        """Returns what a policy is decided from."""
        governed = tuple(self._governed(run) for run in self.runs if governs(policy, run))
        known = with_proofs(references(self.runs), self.policies)
        return PolicySeen(governed, self.policies, with_exports(known, self.policies, governed))

    def with_policy(self, edited: CheckpointPolicy) -> "Snapshot":
        """Returns the snapshot as it would be with this policy applied; what its status remembers stays."""
        others = tuple(it for it in self.policies if policy_key(it) != policy_key(edited))
        return replace(self, policies=(*others, edited))

    def policy(self, namespace: str, name: str) -> CheckpointPolicy | None:
        """Returns the policy of this name."""
        return next((it for it in self.policies if policy_key(it) == (namespace, name)), None)

    def _governed(self, run: TrainingRun) -> Governed:
        seen = self.sights.get(run_key(run), {})
        sights = {run_id: seen.get(run_id, Sight()) for run_id in followed_runs(run)}
        views = {run_id: sight.view for run_id, sight in sights.items()}
        listed = ((run_id, sight.listing) for run_id, sight in sights.items())
        return Governed(run, views, {CheckpointsOf(run_id): it for run_id, it in listed if it is not None})


class UnreadableDump(ValueError):
    """The file is no dump that this version can read; the message is one line with the remedy."""


class DumpedSight(ApiModel):
    """A Sight in a file: of the view and of the listing, one field each or none."""

    training_run: RunKey
    run_id: str
    described: ObservedRun | None = None
    view_absent: Absent | None = None
    view_fault: Fault | None = None
    listed: tuple[ObservedCheckpoint, ...] | None = None
    listing_absent: Absent | None = None
    listing_fault: Fault | None = None


class Dump(ApiModel):
    """A snapshot in a file."""

    api_version: Literal["tinker-operator.dev/v1alpha1"] = "tinker-operator.dev/v1alpha1"
    kind: Literal["RetentionSnapshot"] = "RetentionSnapshot"
    version: Literal[1] = Field(default=1, description="Version of this form.")
    observed_at: datetime
    whole: bool
    training_runs: tuple[TrainingRun, ...]
    policies: tuple[CheckpointPolicy, ...]
    sights: tuple[DumpedSight, ...]


def dumped(snapshot: Snapshot) -> str:
    """Returns the snapshot as JSON, without anything secret."""
    dump = Dump(
        observed_at=snapshot.observed_at,
        whole=snapshot.whole,
        training_runs=tuple(map(_bare_run, snapshot.runs)),
        policies=tuple(_bare_policy(it) for it in snapshot.policies),
        sights=tuple(
            _dumped_sight(key, run_id, sight)
            for key, sights in sorted(snapshot.sights.items())
            for run_id, sight in sorted(sights.items())
        ),
    )
    return dump.model_dump_json(by_alias=True, exclude_none=True, indent=1) + "\n"


def restored(text: str) -> Snapshot:
    """Returns the snapshot that `dumped` wrote.

    Raises:
        UnreadableDump: It is something else, or of another version.
    """
    try:
        dump = Dump.model_validate(json.loads(text))
    except ValidationError as fault:
        where = ".".join(str(part) for part in fault.errors()[0]["loc"][:3])
        raise UnreadableDump(f"is no dump of this version ({where}): write it anew with --dump") from None
    except ValueError:
        raise UnreadableDump("is not valid JSON: write it anew with --dump") from None
    sights: dict[RunKey, dict[str, Sight]] = {}
    for it in dump.sights:
        view = it.described or it.view_absent or it.view_fault
        listing = it.listed if it.listed is not None else it.listing_absent or it.listing_fault
        sights.setdefault(it.training_run, {})[it.run_id] = Sight(view, listing)
    return Snapshot(dump.observed_at, dump.whole, dump.training_runs, dump.policies, sights)


def _dumped_sight(key: RunKey, run_id: str, sight: Sight) -> DumpedSight:
    view, listing = sight.view, sight.listing
    return DumpedSight(
        training_run=key,
        run_id=run_id,
        described=_bare_view(view) if isinstance(view, ObservedRun) else None,
        view_absent=view if isinstance(view, Absent) else None,
        view_fault=view if isinstance(view, Fault) else None,
        listed=tuple(map(_bare_checkpoint, listing)) if isinstance(listing, tuple) else None,
        listing_absent=listing if isinstance(listing, Absent) else None,
        listing_fault=listing if isinstance(listing, Fault) else None,
    )


def _bare_view(view: ObservedRun) -> ObservedRun:
    last = None if view.last_checkpoint is None else _bare_checkpoint(view.last_checkpoint)
    return replace(view, metadata={}, last_checkpoint=last)


def _bare_checkpoint(checkpoint: ObservedCheckpoint) -> ObservedCheckpoint:
    return replace(checkpoint, metadata={key: _bare(key, text) for key, text in checkpoint.metadata.items()})


def _bare(key: str, text: str) -> str:
    """An empty value is no number, as the one that it stands for."""
    if key == "pinned":
        return text if text.strip().lower() in {"true", "1", "yes"} else ""
    try:
        float(text)
    except ValueError:
        return ""
    return text


def _bare_meta(meta: ObjectMeta) -> ObjectMeta:
    return meta.model_copy(update={"annotations": {}})


def _bare_policy(policy: CheckpointPolicy) -> CheckpointPolicy:
    return policy.model_copy(update={"metadata": _bare_meta(policy.metadata)})


def _bare_run(run: TrainingRun) -> TrainingRun:
    """Keeps of spec what a policy reads, and of status all but what services, Jobs and hooks said in their words."""
    spec = run.spec
    recovery = Recovery(enabled=spec.recovery.enabled, checkpoint=spec.recovery.checkpoint)
    source = RunSource(create=spec.run.create.model_copy(update={"user_metadata": None})) if spec.run.create else None
    bare = TrainingRunSpec(
        run=source or RunSource(training_run_id=spec.run.training_run_id),
        recovery=recovery,
        poll_interval_seconds=spec.poll_interval_seconds,
    )
    told = {"session": None, "creation": None, "trainer": None, "hooks": None}
    status = run.status.model_copy(update=told)
    return run.model_copy(update={"metadata": _bare_meta(run.metadata), "spec": bare, "status": status})
