"""Exports of a CheckpointPolicy on a real API server: the Job's own command line runs here, as a node would run it."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.stage import KEY, Stage, wait_for
from tests.exporter.s3_server import ACCESS_KEY, BUCKET, S3Server
from tests.exporter.servers import serving

from tinker_operator.exporter import MANIFEST

pytestmark = pytest.mark.cluster


def secret(name: str, **entries: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": entries}


def environment(stage: Stage, container: dict[str, Any]) -> dict[str, str]:
    """A container's variables, with what they refer to."""
    told = {}
    for one in container["env"]:
        if "value" in one:
            told[one["name"]] = one["value"]
            continue
        reference = one["valueFrom"]["secretKeyRef"]
        held = stage.get("secret", reference["name"])["data"].get(reference["key"])
        assert held is not None or reference.get("optional")
        if held is not None:
            told[one["name"]] = base64.b64decode(held).decode()
    return told


def open_jobs(stage: Stage) -> list[dict[str, Any]]:
    """The Jobs that have not ended."""
    jobs = stage.kubectl.json("get", "jobs", "--namespace", stage.namespace)["items"]
    return [it for it in jobs if not any(one["status"] == "True" for one in it["status"].get("conditions", []))]


def open_job(stage: Stage) -> dict[str, Any]:
    """The one Job that has not ended; {} while there is none."""
    left = open_jobs(stage)
    assert len(left) < 2
    return left[0] if left else {}


def run_job(stage: Stage, work: Path) -> None:
    """Run the open Job's command, and say of its Pod what a node would."""
    job = wait_for(lambda: open_job(stage), "a Job")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    arguments = [str(work) if it == "/work" else it for it in container["args"]]
    environ = {**os.environ, **environment(stage, container), "HOME": str(work), "TMPDIR": str(work)}
    assert container["command"] == ["tinker-operator"]
    done = subprocess.run(
        [sys.executable, "-m", "tinker_operator.cli", *arguments],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    name = job["metadata"]["name"]
    succeed(stage, name)
    wait_for(lambda: open_job(stage).get("metadata", {}).get("name") != name, "the Job to end")


def succeed(stage: Stage, name: str) -> None:
    """Say of the Pod of a Job that it is done."""
    of_job = ("get", "pods", "--selector", f"job-name={name}", "--namespace", stage.namespace)
    pod = wait_for(lambda: stage.kubectl.json(*of_job)["items"], "its Pod")[0]
    stage.patch_status("pod", pod["metadata"]["name"], {"status": {"phase": "Succeeded"}})


def test_all_are_exported_and_none_goes_before(stage: Stage, tmp_path: Path) -> None:
    """Three checkpoints, keepLast 1: each goes only after it is in the bucket, and no Job is made twice."""
    store, work = S3Server(), tmp_path / "work"
    run, paths = stage.trained_run(3)
    with serving(store.app()) as url:
        policy = stage.policy({"keepLast": 1, "action": "Delete"})
        place = {"bucket": BUCKET, "prefix": "p", "region": "us-east-1", "endpointURL": url}
        policy["spec"]["export"] = {
            "what": "All",
            "to": {"s3": {**place, "credentialsSecretRef": {"name": "store"}}},
            "job": {"image": "registry.test/tinker-operator:1"},
        }
        stage.apply(
            secret("tinker", TINKER_API_KEY=KEY, TINKER_BASE_URL=stage.served.url),
            secret("store", AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY="s"),
            policy,
            stage.training_run({"run": {"trainingRunId": run}, "credentialsRef": {"name": "tinker"}}),
        )
        stage.wait_condition("Exported", "False", "Exporting", "keep", "checkpointpolicy")
        wait_for(lambda: open_job(stage), "the first Job", 15)
        stage.wait_polls()
        assert stage.remote_checkpoints(run) == sorted(paths)
        for _ in paths:
            run_job(stage, work)
        stage.wait_condition("Exported", "True", "Exported", "keep", "checkpointpolicy")
        wait_for(lambda: stage.remote_checkpoints(run) == paths[2:], "the two older to go")
    manifests = [json.loads(it.content) for key, it in store.objects.items() if key.endswith(MANIFEST)]
    assert sorted(one["source"]["path"] for one in manifests) == sorted(paths)
    assert len(stage.kubectl.json("get", "jobs", "--namespace", stage.namespace)["items"]) == 3


def paths_of(jobs: list[dict[str, Any]]) -> list[str]:
    return [it["spec"]["template"]["spec"]["containers"][0]["args"][1] for it in jobs]


def test_as_many_jobs_run_at_once_as_the_policy_says(stage: Stage) -> None:
    """Two of three, each of another checkpoint; the third when one has ended, and none again."""
    run, paths = stage.trained_run(3)
    policy = stage.policy({"keepLast": 3})
    place = {"persistentVolumeClaim": {"claimName": "adapters"}}
    policy["spec"]["export"] = {"what": "All", "to": place, "parallelism": 2, "job": {"image": "registry.test/it:1"}}
    stage.apply(
        secret("tinker", TINKER_API_KEY=KEY, TINKER_BASE_URL=stage.served.url),
        policy,
        stage.training_run({"run": {"trainingRunId": run}, "credentialsRef": {"name": "tinker"}}),
    )
    wait_for(lambda: len(open_jobs(stage)) == 2, "two Jobs")
    stage.wait_polls()
    assert sorted(paths_of(open_jobs(stage))) == sorted(paths[:2])
    ended = [it["metadata"]["name"] for it in open_jobs(stage)]
    succeed(stage, ended[0])
    wait_for(lambda: paths[2] in paths_of(open_jobs(stage)), "the third Job")
    assert len(open_jobs(stage)) == 2
    succeed(stage, ended[1])
    succeed(stage, next(it["metadata"]["name"] for it in open_jobs(stage) if paths_of([it]) == paths[2:]))
    stage.wait_condition("Exported", "True", "Exported", "keep", "checkpointpolicy")
    assert len(stage.kubectl.json("get", "jobs", "--namespace", stage.namespace)["items"]) == 3


def test_without_an_image_it_says_what_to_set(stage: Stage) -> None:
    """And deletes what may go all the same."""
    run, paths = stage.trained_run(2)
    policy = stage.policy({"keepLast": 1, "action": "Delete"})
    policy["spec"]["export"] = {"what": "Latest", "to": {"persistentVolumeClaim": {"claimName": "adapters"}}}
    stage.apply(stage.training_run({"run": {"trainingRunId": run}}), policy)
    told = stage.wait_condition("Exported", "False", "ExportHeldUp", "keep", "checkpointpolicy")
    assert "TINKER_OPERATOR_IMAGE" in told["message"]
    wait_for(lambda: stage.remote_checkpoints(run) == paths[1:], "the older to go")
