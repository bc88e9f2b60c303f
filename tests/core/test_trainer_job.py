"""What becomes of a template of a Job: tables, and laws over any template at all."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.builders import training_run

from tinker_operator.api.reasons import Reason
from tinker_operator.core.trainer_job import trainer_job
from tinker_operator.core.world import Fault

pytestmark = pytest.mark.pure

LOOP = {"name": "loop", "image": "loop:1"}
OURS = ["TINKER_OPERATOR_ATTEMPT", "TINKER_OPERATOR_HANDOVER"]
KEY = ["TINKER_API_KEY", "TINKER_BASE_URL"]
UID = "tinker-operator.dev/training-run-uid"


def job_of(template: Any, *, secret: str | None = "tinker", attempt: int = 2) -> Any:
    """Returns the Job, or the Fault, of a TrainingRun with this template."""
    spec: dict[str, Any] = {"trainer": {"template": template}, "recovery": {"enabled": True, "mode": "Relaunch"}}
    run = training_run(spec | ({"credentialsRef": {"name": secret}} if secret else {}))
    return trainer_job(run, "sft-a2", attempt)


def made(pod: Any = None, *, metadata: Any = None, secret: str | None = "tinker", **spec: Any) -> Any:
    """Returns the Job of a template with one loop, changed as asked."""
    pod_spec = {"containers": [LOOP]} | (pod or {})
    job = job_of({"metadata": metadata, "spec": {"template": {"spec": pod_spec}, **spec}}, secret=secret)
    assert not isinstance(job, Fault), job.message
    return job


def pod_of(job: Any) -> Any:
    return job["spec"]["template"]["spec"]


def environment(container: Any) -> dict[str, Any]:
    """Returns what a container is told, as the kubelet reads it: of two words for one name the later counts."""
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container["env"]}


def test_a_job_is_its_training_runs() -> None:
    """It is found by label, goes with its owner, never holds it back, and says its attempt."""
    metadata = made()["metadata"]

    assert (metadata["name"], metadata["namespace"]) == ("sft-a2", "team")
    assert metadata["labels"] == {"app.kubernetes.io/managed-by": "tinker-operator", UID: "uid-1"}
    assert metadata["annotations"] == {"tinker-operator.dev/attempt": "2"}
    (owner,) = metadata["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("TrainingRun", "sft", "uid-1")
    assert (owner["controller"], owner["blockOwnerDeletion"]) == (True, False)


def test_of_the_templates_metadata_labels_and_annotations_count_and_ours_win() -> None:
    """A queue's label stays; a name, an owner or a finalizer of the user's does not."""
    theirs = {
        "name": "other",
        "namespace": "kube-system",
        "finalizers": ["x/y"],
        "ownerReferences": [{"uid": "z"}],
        "labels": {"kueue.x-k8s.io/queue-name": "gpu", UID: "forged"},
        "annotations": {"note": "hello", "tinker-operator.dev/attempt": "99"},
    }
    metadata = made(metadata=theirs)["metadata"]

    assert (metadata["name"], metadata["namespace"]) == ("sft-a2", "team")
    assert "finalizers" not in metadata
    assert [one["uid"] for one in metadata["ownerReferences"]] == ["uid-1"]
    assert metadata["labels"] | {"kueue.x-k8s.io/queue-name": "gpu", UID: "uid-1"} == metadata["labels"]
    assert metadata["annotations"] == {"note": "hello", "tinker-operator.dev/attempt": "2"}


def test_every_container_reads_the_hand_over() -> None:
    """As a folder and not a single file, which the kubelet would never renew; and knows where, and its attempt."""
    pod = pod_of(made({"containers": [LOOP, {"name": "b"}], "initContainers": [{"name": "c"}]}))

    assert pod["volumes"] == [{"name": "tinker-operator-handover", "configMap": {"name": "sft-handover"}}]
    for container in (*pod["containers"], *pod["initContainers"]):
        (mount,) = container["volumeMounts"]
        assert mount == {"name": "tinker-operator-handover", "mountPath": "/etc/tinker-operator", "readOnly": True}
        told = environment(container)
        assert [told[name] for name in OURS] == ["2", "/etc/tinker-operator/handover.json"]


def test_the_key_goes_to_containers_by_reference_and_not_to_what_prepares_them() -> None:
    """No key is ever in the Job itself; a Secret without a base URL is no fault."""
    pod = pod_of(made({"initContainers": [{"name": "c"}]}))

    told = environment(pod["containers"][0])
    assert told["TINKER_API_KEY"] == {"secretKeyRef": {"name": "tinker", "key": "TINKER_API_KEY"}}
    assert told["TINKER_BASE_URL"] == {"secretKeyRef": {"name": "tinker", "key": "TINKER_BASE_URL", "optional": True}}
    assert not {*KEY} & {*environment(pod["initContainers"][0])}


def test_the_operators_own_key_is_not_given_away() -> None:
    """Without credentialsRef the template brings a key of its own."""
    assert [*environment(pod_of(made(secret=None))["containers"][0])] == OURS


@pytest.mark.parametrize("name", [*KEY, "TINKER_OPERATOR_HANDOVER"])
def test_a_variable_that_the_template_sets_is_left_alone(name: str) -> None:
    """Even when it is set to nothing, by which a container can do without the key."""
    theirs = {"name": name, "value": ""}
    container = pod_of(made({"containers": [{**LOOP, "env": [theirs]}]}))["containers"][0]

    assert [one for one in container["env"] if one["name"] == name] == [theirs]


def test_the_attempt_is_ours_to_say_and_can_be_referred_to() -> None:
    """Kubernetes expands a reference to what stands before it, so ours come first."""
    theirs = [{"name": "TINKER_OPERATOR_ATTEMPT", "value": "7"}, {"name": "A", "value": "$(TINKER_OPERATOR_ATTEMPT)"}]
    container = pod_of(made({"containers": [{**LOOP, "env": theirs}]}))["containers"][0]

    assert [one["name"] for one in container["env"]] == [*OURS, *KEY, "A"]
    assert environment(container)["TINKER_OPERATOR_ATTEMPT"] == "2"


DEFAULTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing is said": ({}, {"backoffLimit": 0, "podReplacementPolicy": "Failed"}),
    "null says nothing": ({"backoffLimit": None, "parallelism": None}, {"backoffLimit": 0}),
    "a limit of its own": ({"backoffLimit": 4}, {"backoffLimit": 4}),
    "a policy of its own": (
        {"podFailurePolicy": {"rules": []}},
        {"podFailurePolicy": {"rules": []}, "backoffLimit": 0, "podReplacementPolicy": "Failed"},
    ),
    "another replacement": (
        {"podReplacementPolicy": "TerminatingOrFailed"},
        {"podReplacementPolicy": "TerminatingOrFailed"},
    ),
    "held back by a queue": ({"suspend": True}, {"suspend": True}),
    "one of each": ({"completions": 1, "parallelism": 1}, {"completions": 1, "parallelism": 1}),
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_what_the_template_says_of_the_job_is_honoured(name: str) -> None:
    """And what it does not say is such that each failure is an attempt of ours."""
    said, expected = DEFAULTS[name]
    spec = made(**said)["spec"]

    assert {field: spec[field] for field in expected} == expected
    assert ("suspend" in spec, "parallelism" in spec) == ("suspend" in expected, "parallelism" in expected)


def test_a_limit_for_each_index_stands_in_for_the_limit_of_the_job() -> None:
    """With both, the Job would end at its first failure."""
    assert "backoffLimit" not in made(backoffLimitPerIndex=2, completionMode="Indexed", completions=1)["spec"]


@pytest.mark.parametrize(("said", "expected"), [({}, "Never"), ({"restartPolicy": "OnFailure"}, "OnFailure")])
def test_a_pod_is_not_restarted_unless_the_template_says_so(said: Any, expected: str) -> None:
    """Kubernetes' default for a pod, Always, is none that a Job can have."""
    assert pod_of(made(said))["restartPolicy"] == expected


BAD: dict[str, tuple[Any, str]] = {
    "two at once": ({"spec": {"parallelism": 2}}, "spec.parallelism"),
    "two in a row": ({"spec": {"completions": 2}}, "spec.completions"),
    "none at all": ({"spec": {"parallelism": 0}}, "spec.parallelism"),
    "a number of another type": ({"spec": {"completions": "1"}}, "spec.completions"),
    "a spec that is a word": ({"spec": "x"}, "spec is not an object"),
    "labels that are a list": ({"metadata": {"labels": []}}, "metadata.labels is not an object"),
    "a pod that is a list": ({"spec": {"template": {"spec": []}}}, "spec.template.spec is not an object"),
    "containers by name": (
        {"spec": {"template": {"spec": {"containers": {"loop": LOOP}}}}},
        "spec.template.spec.containers is not a list",
    ),
    "variables as a word": (
        {"spec": {"template": {"spec": {"containers": [LOOP, {"env": "A=1"}]}}}},
        "spec.template.spec.containers[1].env is not a list",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_template_that_no_job_can_be_made_of_is_told_of(name: str) -> None:
    """With the field; and only its author can mend it."""
    template, words = BAD[name]
    fault = job_of(template)

    assert isinstance(fault, Fault)
    assert (fault.reason, fault.needs_user) == (Reason.TRAINER_INVALID, True)
    assert fault.message.startswith(f"spec.trainer.template.{words}")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


def described(**fields: Any) -> Any:
    """Returns objects in which each of these fields, and others, may be absent, right, or anything at all."""
    known = st.fixed_dictionaries({}, optional={name: right | JSON for name, right in fields.items()})
    return st.builds(lambda other, right: {**other, **right}, st.dictionaries(st.text(max_size=3), JSON), known)


VARIABLE = described(name=st.sampled_from([*OURS, *KEY, "A"]), value=st.text(max_size=3))
CONTAINER = described(name=st.just("loop"), env=st.lists(VARIABLE, max_size=3), volumeMounts=st.lists(described()))
LABELS = st.dictionaries(st.sampled_from(["a", UID]), st.text(max_size=3))
METADATA = described(labels=LABELS, annotations=LABELS, name=st.just("x"))
POD = described(
    containers=st.lists(CONTAINER, max_size=2),
    initContainers=st.lists(CONTAINER, max_size=1),
    volumes=st.lists(described()),
)
SPEC = described(
    parallelism=st.integers(0, 2), backoffLimit=st.integers(0, 6), template=described(metadata=METADATA, spec=POD)
)


@given(described(metadata=METADATA, spec=SPEC))
def test_any_template_gives_a_job_or_a_fault_and_is_not_changed(template: Any) -> None:
    """Open JSON may be anything: what comes of it is ours, runs once, and twice the same."""
    before = copy.deepcopy(template)
    job = job_of(template)

    assert template == before
    assert job_of(template) == job
    if not isinstance(job, Fault):
        pod = job["spec"]["template"]
        assert job["metadata"]["labels"][UID] == pod["metadata"]["labels"][UID] == "uid-1"
        assert (job["spec"].get("parallelism", 1), job["spec"].get("completions", 1)) == (1, 1)
        for container in pod["spec"].get("containers", ()):
            told = [one for one in container["env"] if one.get("name") == OURS[0]]
            assert told == [{"name": OURS[0], "value": "2"}]
            assert {one["mountPath"] for one in container["volumeMounts"] if one.get("mountPath")} >= {
                "/etc/tinker-operator"
            }


@given(SPEC)
def test_what_is_not_ours_to_set_stays_as_it_is(spec: Any) -> None:
    """Every field of the Job, and of its pod, that a training loop does not need from us."""
    job = job_of({"spec": spec})
    if isinstance(job, Fault):
        return
    kept = {name: value for name, value in spec.items() if name != "template" and value is not None}
    assert {name: job["spec"][name] for name in kept} == kept
    template = spec.get("template") or {}
    pod = template.get("spec") or {}
    touched = {"containers", "initContainers", "volumes"}
    rest = {name: value for name, value in pod.items() if name not in touched and value is not None}
    assert {name: pod_of(job)[name] for name in rest} == rest
    for field in touched & {*pod}:
        assert len(pod_of(job).get(field) or ()) >= len(pod[field] or ())
