"""What a deletion depends on, of all that a policy saw: right before each deletion it is judged once more.

A policy may govern a million checkpoints, and ten go in a pass; judging all of them again for each of the ten would
take longer than everything else. A law holds that the answer over this part is the answer over the whole.
"""

from collections.abc import Container
from dataclasses import replace

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.core.policy_references import followed_runs
from tinker_operator.core.policy_seen import Governed, PolicySeen
from tinker_operator.core.world import DeleteCheckpoint, ObservedRun, SetCheckpointTtl


def concerning(action: DeleteCheckpoint | SetCheckpointTtl, policy: CheckpointPolicy, seen: PolicySeen) -> PolicySeen:
    """Returns the part of what was seen that decides whether a deletion is in the plan; for a new expiry, all of it.

    Only what was announced is deleted, so it is what can speak of an announced checkpoint: the TrainingRuns that follow
    its run, list it, or whose run the service says ended with it.

    Args:
        action: What was planned.
        policy: The policy as it is now.
        seen: All that is known now.
    """
    if isinstance(action, SetCheckpointTtl):
        return seen
    paths = frozenset(entry.path for entry in policy.status.deleting)
    runs = frozenset(path.removeprefix("tinker://").partition("/")[0] for path in paths)
    return replace(seen, governed=tuple(one for one in seen.governed if _speaks_of(one, paths, runs)))


def _speaks_of(one: Governed, paths: Container[str], runs: frozenset[str]) -> bool:
    if not runs.isdisjoint(followed_runs(one.run)):
        return True
    lasts = (view.last_checkpoint for view in one.views.values() if isinstance(view, ObservedRun))
    if any(last is not None and last.path in paths for last in lasts):
        return True
    listings = (listing for listing in one.answers.values() if isinstance(listing, tuple))
    return any(it.path in paths for listing in listings for it in listing)
