"""What policies keep and delete, as Prometheus scrapes it: one set of series for each object, gone with the object.

The controller tells the figures of each pass; they are shown for the objects that the store has at the time of the
scrape. Labels are names of objects and members of closed lists, so there are no more series than objects times reasons.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tinker_operator.api.policy_status import DueRule, KeepReason
from tinker_operator.controllers.objects import CHECKPOINT_POLICIES, TRAINING_RUNS, checkpoint_policies
from tinker_operator.controllers.tracked import all_tracked
from tinker_operator.core.policy_figures import Amount, Figures
from tinker_operator.core.policy_judgement import policy_key
from tinker_operator.engine.keys import ObjectKey
from tinker_operator.engine.store import Store

_POLICY: Final = ("namespace", "policy")
_PREFIX: Final = "tinker_operator_policy"


class FigureBook:
    """The figures of each policy's newest pass, and its deletions since the operator started."""

    def __init__(self) -> None:
        self.figures: dict[ObjectKey, Figures] = {}
        self.deletions: dict[ObjectKey, dict[DueRule, int]] = {}
        self._uids: dict[ObjectKey, str] = {}

    def tell(self, key: ObjectKey, uid: str, figures: Figures | None, deleted: Mapping[DueRule, int]) -> None:
        """Writes down a pass.

        Args:
            key: The policy.
            uid: Its uid.
            figures: Its figures; None when nothing could be seen, so that the former ones stand.
            deleted: What the pass deleted, by rule.
        """
        if self._uids.setdefault(key, uid) != uid:
            self._forget(key)
            self._uids[key] = uid
        if figures is not None:
            self.figures[key] = figures
        counted = self.deletions.setdefault(key, dict.fromkeys(DueRule, 0))
        for rule, count in deleted.items():
            counted[rule] += count

    def forget_all_but(self, present: Mapping[ObjectKey, str]) -> None:
        """Drops objects that are gone: one that comes again under the name begins anew.

        Args:
            present: The uids of those that there are.
        """
        for key in [key for key, uid in self._uids.items() if present.get(key) != uid]:
            self._forget(key)

    def _forget(self, key: ObjectKey) -> None:
        for known in (self.figures, self.deletions, self._uids):
            known.pop(key, None)


class PolicyCollector(Collector):
    """Makes the series at each scrape.

    Args:
        store: Which objects there are.
        book: What is known of policies.
    """

    def __init__(self, store: Store, book: FigureBook) -> None:
        self._store = store
        self._book = book

    def collect(self) -> Iterator[Metric]:
        """Yields every family; one without an object has no series."""
        policies = self._store.by_kind(CHECKPOINT_POLICIES.kind)
        self._book.forget_all_but({key: obj["metadata"]["uid"] for key, obj in policies.items()})
        known = sorted(self._book.figures.items())
        yield from _amounts(known)
        yield from _reasons(known)
        unseen = GaugeMetricFamily(
            f"{_PREFIX}_unseen_training_runs", "TrainingRuns of the policy that cannot be seen whole.", labels=_POLICY
        )
        for key, its in known:
            unseen.add_metric([key.namespace, key.name], its.unseen)
        yield unseen
        yield self._deleted()
        yield from self._concerns()
        yield self._newest()

    def _deleted(self) -> Metric:
        family = CounterMetricFamily(
            f"{_PREFIX}_deletions",
            "Checkpoints that the policy deleted, by the rule that let them go, since the operator started.",
            labels=(*_POLICY, "rule"),
        )
        for key, counted in sorted(self._book.deletions.items()):
            for rule, count in counted.items():
                family.add_metric([key.namespace, key.name, str(rule)], count)
        return family

    def _concerns(self) -> Iterator[Metric]:
        """What stands in status of the concerns beside retention."""
        validated = GaugeMetricFamily(
            f"{_PREFIX}_validated_checkpoints",
            "Checkpoints that background validation has proven, by verdict, and those still to be proven.",
            labels=(*_POLICY, "verdict"),
        )
        exports = GaugeMetricFamily(
            f"{_PREFIX}_exports", "Exports of checkpoints that the service lists, by state.", labels=(*_POLICY, "state")
        )
        for policy in sorted(checkpoint_policies(self._store), key=policy_key):
            where, section = list(policy_key(policy)), policy.status.validation
            counts = {**section.counts, "Unvalidated": section.unvalidated} if section is not None else {}
            for verdict, count in sorted(counts.items()):
                validated.add_metric([*where, verdict], count)
            for state, count in sorted(Counter(it.state for it in policy.status.exports).items()):
                exports.add_metric([*where, str(state)], count)
        yield validated
        yield exports

    def _newest(self) -> Metric:
        family = GaugeMetricFamily(
            "tinker_operator_training_run_newest_checkpoint_timestamp_seconds",
            "When the newest training checkpoint of the TrainingRun was saved.",
            labels=("namespace", "training_run"),
        )
        for key, time in sorted(self._newest_times().items()):
            family.add_metric([key.namespace, key.name], time)
        return family

    def _newest_times(self) -> Mapping[ObjectKey, float]:
        """A policy's look is newer than status, which tells of new checkpoints every ten minutes at most."""
        times: dict[ObjectKey, float] = {}
        times.update((key, run.newest) for key, run in all_tracked(self._store) if run.newest is not None)
        present = self._store.by_kind(TRAINING_RUNS.kind)
        for key, its in self._book.figures.items():
            for name, time in its.newest.items():
                where = ObjectKey(TRAINING_RUNS.kind, key.namespace, name)
                if where in present:
                    times[where] = max(time.timestamp(), times.get(where, 0.0))
        return times


def _amounts(known: Iterable[tuple[ObjectKey, Figures]]) -> Iterator[Metric]:
    counts = GaugeMetricFamily(
        f"{_PREFIX}_checkpoints", "Governed checkpoints, kept or due.", labels=(*_POLICY, "state")
    )
    sizes = GaugeMetricFamily(
        f"{_PREFIX}_checkpoint_bytes", "Bytes of governed checkpoints, kept or due.", labels=(*_POLICY, "state")
    )
    soon = GaugeMetricFamily(
        f"{_PREFIX}_expiring_checkpoints",
        "Checkpoints that the policy keeps and that the service deletes within a day.",
        labels=_POLICY,
    )
    soon_bytes = GaugeMetricFamily(f"{_PREFIX}_expiring_bytes", "Bytes of the expiring checkpoints.", labels=_POLICY)
    for key, its in known:
        where = [key.namespace, key.name]
        by_state: tuple[tuple[str, Amount], ...] = (("kept", its.kept), ("due", its.due))
        for state, amount in by_state:
            counts.add_metric([*where, state], amount.checkpoints)
            sizes.add_metric([*where, state], amount.size_bytes)
        soon.add_metric(where, its.expiring.checkpoints)
        soon_bytes.add_metric(where, its.expiring.size_bytes)
    return iter((counts, sizes, soon, soon_bytes))


def _reasons(known: Iterable[tuple[ObjectKey, Figures]]) -> Iterator[Metric]:
    kept = GaugeMetricFamily(
        f"{_PREFIX}_kept_checkpoints",
        "Checkpoints that each reason keeps; one may have several reasons.",
        labels=(*_POLICY, "reason"),
    )
    protected = GaugeMetricFamily(
        f"{_PREFIX}_protected_checkpoints",
        "Checkpoints that no rule keeps and a protection does; one may have several protections.",
        labels=(*_POLICY, "reason"),
    )
    for key, its in known:
        for family, counted in ((kept, its.kept_by_reason), (protected, its.protected)):
            for reason in KeepReason:
                if reason in counted:
                    family.add_metric([key.namespace, key.name, str(reason)], counted[reason])
    return iter((kept, protected))
