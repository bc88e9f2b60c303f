"""What a CheckpointPolicy knows of its checkpoints by proof, as retention and publishing read it.

A verdict is one on a path as it was saved at one time, in one size: what is saved again under the name is unknown.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.api.export_status import ExportRecord
from tinker_operator.api.policy_status import KeepReason
from tinker_operator.api.recovery_spec import ValidationLevel
from tinker_operator.api.recovery_status import Verdict
from tinker_operator.api.validation_status import CheckpointFinding, CheckpointProof, PublishedCheckpoint
from tinker_operator.core.policy_references import References
from tinker_operator.core.world import ObservedCheckpoint

_DEPTH = {level: depth for depth, level in enumerate(ValidationLevel)}
Identity = tuple[str, datetime | None, int | None]


@dataclass(frozen=True, slots=True)
class Known:
    """The checkpoints that a policy has proven.

    Attributes:
        good: Those found good, at the level that the policy asks for now.
        bad: Those found bad, at whatever level: each includes those before it.
    """

    good: frozenset[Identity] = frozenset()
    bad: frozenset[Identity] = frozenset()


def identity(
    one: ObservedCheckpoint | CheckpointFinding | CheckpointProof | PublishedCheckpoint | ExportRecord,
) -> Identity:
    """Returns what tells one content from another of the same name."""
    return one.path, one.time, one.size_bytes


def stands(finding: CheckpointFinding, level: ValidationLevel) -> bool:
    """Tells whether a verdict is one at this level too: a bad one always, a good one of the same depth or deeper."""
    return finding.verdict is not Verdict.GOOD or _DEPTH[finding.level] >= _DEPTH[level]


def known_to(policy: CheckpointPolicy) -> Known | None:
    """Returns what the policy has proven; None where it proves nothing."""
    asked, section = policy.spec.validation, policy.status.validation
    if asked is None:
        return None
    found = section.verdicts if section is not None else ()
    return Known(
        good=frozenset(identity(it) for it in found if it.verdict is Verdict.GOOD and stands(it, asked.level)),
        bad=frozenset(identity(it) for it in found if it.verdict is not Verdict.GOOD),
    )


def with_proofs(references: References, policies: Iterable[CheckpointPolicy]) -> References:
    """Returns the references with the checkpoints that are being proven: no policy deletes one in the middle of that.

    Args:
        references: What TrainingRuns refer to.
        policies: All policies of the cluster.
    """
    sections = (policy.status.validation for policy in policies)
    proven = frozenset(it.in_flight.path for it in sections if it is not None and it.in_flight is not None)
    if not proven:
        return references
    return References(
        named={**references.named, KeepReason.VALIDATING: proven},
        recovering=references.recovering,
        refused=references.refused,
        followers=references.followers,
    )
