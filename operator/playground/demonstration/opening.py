"""The first half of the story: everything starts, each part with its own credentials, and training is under way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from playground.crds import apply_crds, checkout_crds
from playground.demonstration.evidence import short_path, short_run
from playground.demonstration.gather import (
    OPERATOR_ACCOUNT,
    OPERATOR_NAMESPACE,
    Identities,
    get_policy,
    read_identities,
    with_spec_tried,
)
from playground.demonstration.manifests import (
    CHECKPOINT_POLICY,
    LOOP_ACCOUNT,
    NAMESPACE,
    PEOPLE,
    POLICY,
    RUN,
    deploy_folder,
    training_run,
)
from playground.demonstration.scene import Scene
from playground.kubectl import Kubectl

AccountKubeconfig = Callable[[str, str, Path], Path]
_READY_SECONDS = 30
_OPERATOR_KUBECONFIG = "operator.kubeconfig"


@dataclass(frozen=True, slots=True)
class Underway:
    """What the second half needs of the first.

    Attributes:
        url: Of the Tinker service.
        run_id: The run that trains.
        identities: Who the operator and the loop are.
    """

    url: str
    run_id: str
    identities: Identities


def open_show(scene: Scene, account_kubeconfig: AccountKubeconfig) -> Underway:
    """Start everything, and return when the policy has deleted its first checkpoint.

    Args:
        scene: What to work with; the control plane is up.
        account_kubeconfig: Writes a kubeconfig with a token of a service account: namespace, name, path.
    """
    scene.crew.start_simulator()
    _apply_definitions(scene)
    scene.stage.chapter("The parts, each a process with its own credentials")
    url = scene.patience.until("The simulator starts", scene.crew.simulator_url)
    scene.stage.done(f"tinker-simulator serves on {url}")
    identities = _start_parts(scene, url, account_kubeconfig)
    run_id = _await_parts(scene)
    _declare(scene, run_id)
    operator = Kubectl(scene.kubectl.program, scene.folder / _OPERATOR_KUBECONFIG)
    return Underway(url, run_id, with_spec_tried(identities, operator))


def _apply_definitions(scene: Scene) -> None:
    with scene.stage.wait("kubectl applies"):
        names = apply_crds(scene.kubectl, checkout_crds())
        scene.stage.done(f"kubectl apply -f crds/: {len(names)} kinds established")
        scene.kubectl("apply", "-f", deploy_folder() / "rbac.yaml", "-f", deploy_folder() / "guard.yaml")
        scene.stage.done(
            "kubectl apply -f rbac.yaml -f guard.yaml, of deploy/rights: the operator's account and its bounds"
        )
        scene.apply("people.yaml", PEOPLE)
        scene.stage.done(f"namespace {NAMESPACE}: the loop's ServiceAccount, which may get one ConfigMap")


def _start_parts(scene: Scene, url: str, account_kubeconfig: AccountKubeconfig) -> Identities:
    with scene.stage.wait("The operator and the training loop start"):
        operator = account_kubeconfig(OPERATOR_NAMESPACE, OPERATOR_ACCOUNT, scene.folder / _OPERATOR_KUBECONFIG)
        scene.crew.start_operator(url, operator, OPERATOR_NAMESPACE)
        loop = account_kubeconfig(NAMESPACE, LOOP_ACCOUNT, scene.folder / "loop.kubeconfig")
        scene.crew.start_loop(url, loop)
        return read_identities(scene.kubectl, operator, loop, deploy_folder() / "rbac.yaml")


def _await_parts(scene: Scene) -> str:
    holder = scene.patience.until("The operator takes its Lease", lambda: _lease_holder(scene), every=0.3)
    scene.stage.done(f"tinker-operator runs as {OPERATOR_NAMESPACE}/{OPERATOR_ACCOUNT} and holds the Lease ({holder})")
    started = scene.patience.until("The training loop starts", lambda: scene.told().first("started"))
    run_id = str(started["run"])
    scene.stage.done(f"the training loop, as {NAMESPACE}/{LOOP_ACCOUNT}, trains run {short_run(run_id)}")
    saved = scene.patience.until("The loop saves", lambda: scene.told().first("saved"), so_far=lambda: _progress(scene))
    scene.stage.done(f"it saved {short_path(saved['path'])} with user_metadata step and loss ({saved['loss']:.3f})")
    return run_id


def _lease_holder(scene: Scene) -> str | None:
    leases = scene.kubectl.json("get", "leases", f"--namespace={OPERATOR_NAMESPACE}")["items"]
    return next((str(it["spec"]["holderIdentity"]) for it in leases if it["spec"].get("holderIdentity")), None)


def _declare(scene: Scene, run_id: str) -> None:
    scene.stage.chapter("What should be so, declared")
    with scene.stage.wait("kubectl waits for Ready"):
        scene.apply("training-run.yaml", training_run(run_id))
        scene.stage.done(f"kubectl apply: TrainingRun {RUN} adopts {short_run(run_id)}, recovery enabled")
        waiting = ("--for=condition=Ready", f"trainingrun/{RUN}", f"--timeout={_READY_SECONDS}s")
        scene.kubectl("wait", f"--namespace={NAMESPACE}", *waiting)
        scene.stage.done("it is Ready")
    scene.apply("checkpoint-policy.yaml", CHECKPOINT_POLICY)
    scene.stage.done(f"kubectl apply: CheckpointPolicy {POLICY}, action Delete")
    deleted = scene.patience.until(
        "The policy deletes the oldest", lambda: _deleted(scene), every=0.4, so_far=lambda: _progress(scene)
    )
    scene.stage.done(f"the policy deleted {deleted}")


def _deleted(scene: Scene) -> str | None:
    deleted = get_policy(scene.kubectl).get("status", {}).get("deleted", ())
    return ", ".join(short_path(it["path"]) for it in deleted) or None


def _progress(scene: Scene) -> str:
    steps = scene.told().all("step")
    return f"step {steps[-1]['step']}, loss {steps[-1]['loss']:.3f}" if steps else ""
