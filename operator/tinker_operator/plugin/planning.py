"""From what is asked to a report: which policies, on what look, for which moment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tinker_operator.api.checkpoint_policy import CheckpointPolicy
from tinker_operator.cli.settings import InvalidSettings, checked_namespace
from tinker_operator.controllers.objects import checkpoint_policies
from tinker_operator.core.policy_judgement import policy_key
from tinker_operator.engine.credentials import namespace_of_context
from tinker_operator.engine.kube import KubeApi
from tinker_operator.plugin.files import Given
from tinker_operator.plugin.reading import Access, look, read_cluster
from tinker_operator.plugin.report import Fate, PlanReport, fates_of, report_on
from tinker_operator.plugin.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for.

    Attributes:
        name: Name of the policy; None for all.
        namespace: Where; None for every namespace of a dump.
        given: What the files hold.
        as_of: The moment; None for that of the look.
    """

    name: str | None
    namespace: str | None
    given: Given
    as_of: datetime | None

    def wants(self, policy: CheckpointPolicy) -> bool:
        """Tells whether a plan of this policy is asked for; where policies are tried, of those alone."""
        tried = {policy_key(it) for it in self.given.policies}
        here = policy_key(policy) in tried if tried else self.namespace in {None, policy.metadata.namespace}
        return here and self.name in {None, policy.metadata.name}


def asked_for(
    name: str | None,
    namespace: str | None,
    given: Given,
    *,
    as_of: datetime | None,
    cluster: tuple[Path | None, str | None],
) -> Asked:
    """Returns what is asked for, with the namespace that kubectl would use where none is named.

    Args:
        name: Name of the policy; None for all.
        namespace: As given; None if it is not.
        given: What the files hold.
        as_of: The moment, if given.
        cluster: Kubeconfig and context, as given.

    Raises:
        InvalidSettings: The namespace can be none.
        CredentialsInvalid: There is no such kubeconfig or context.
    """
    if namespace is not None:
        checked_namespace("-n", namespace)
    if namespace is None and given.snapshot is None:
        namespace = namespace_of_context(*cluster)
    here = {it.metadata.namespace for it in given.snapshot.policies} if given.snapshot is not None else set()
    if namespace is None and len(here) > 1 and not all(it.metadata.namespace for it in given.policies):
        raise InvalidSettings("-f: a policy names no namespace and the dump has several: give one with -n")
    return Asked(name, namespace, given.placed(namespace or next(iter(here), "default")), as_of)


async def looked(
    asked: Asked, kubeconfig: Path | None, context: str | None, access: Access, clock: Callable[[], datetime]
) -> Snapshot:
    """Returns what cluster and service say now.

    Args:
        asked: What is asked for; it names a namespace.
        kubeconfig: Kubeconfig file; None for the one that kubectl would use.
        context: Context of it; None for the current one.
        access: How the services are reached.
        clock: Wall clock, timezone-aware.

    Raises:
        CredentialsInvalid: The kubeconfig cannot be used.
        KubeError: The API server did not answer, or does not allow it.
    """
    async with await KubeApi.connect(kubeconfig, context) as api:
        store, whole = await read_cluster(api, asked.namespace or "default")
        policies = (it for it in (*checkpoint_policies(store), *asked.given.policies) if asked.wants(it))
        return await look(api, store, policies, access, clock, whole=whole)


def reported(asked: Asked, snapshot: Snapshot) -> PlanReport:
    """Returns the report.

    Args:
        asked: What is asked for.
        snapshot: What it is made from.

    Raises:
        InvalidSettings: There is no such policy.
    """
    as_of = asked.as_of or snapshot.observed_at
    after = snapshot
    for edited in asked.given.policies:
        after = after.with_policy(_tried(edited, snapshot))
    wanted = sorted((it for it in after.policies if asked.wants(it)), key=policy_key)
    if asked.name is not None and not wanted:
        where = f"in namespace {asked.namespace}" if asked.namespace else "in the dump"
        raise InvalidSettings(f"there is no CheckpointPolicy {asked.name} {where}: {_NAMES}")
    reports = tuple(report_on(it, after.seen(it), as_of, _before(it, asked, snapshot, as_of)) for it in wanted)
    return PlanReport(as_of=as_of, observed_at=snapshot.observed_at, policies=reports)


_NAMES = "kubectl get checkpointpolicies -A lists those that there are"


def _tried(edited: CheckpointPolicy, snapshot: Snapshot) -> CheckpointPolicy:
    """What the API server and the operator's status say of the policy stays; of a new one: that it is new."""
    present = snapshot.policy(*policy_key(edited))
    if present is None:
        metadata = edited.metadata.model_copy(update={"creation_timestamp": snapshot.observed_at})
        return CheckpointPolicy(metadata=metadata, spec=edited.spec)
    return present.model_copy(update={"spec": edited.spec})


def _before(policy: CheckpointPolicy, asked: Asked, snapshot: Snapshot, as_of: datetime) -> Mapping[str, Fate] | None:
    """What becomes of checkpoints by the policy as it is; None when nothing is tried, or it is new."""
    applied = snapshot.policy(*policy_key(policy)) if asked.given.policies else None
    return None if applied is None else fates_of(applied, snapshot.seen(applied), as_of)
