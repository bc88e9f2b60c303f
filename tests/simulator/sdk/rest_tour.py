"""Every method of the official SDK's RestClient, on things that the SDK made itself; prints what it saw.

Run as a process of its own, so that every warning the SDK logs or raises is seen.
"""

import asyncio
import urllib.request
from typing import Any

import tinker
from tests.simulator.sdk.witness import Witness
from tinker import types

PROJECT = "nightly-project"


def made(witness: Witness, service: tinker.ServiceClient) -> str:
    """A run with four checkpoints of all kinds; its paths by name are what the tour goes over."""
    client = service.create_lora_training_client("Qwen/Qwen3-8B", rank=4, user_metadata={"made-by": "tour"}).result()
    paths = {
        name: client.save_state(name, user_metadata={"name": name}).result().path for name in ("one", "two", "three")
    }
    paths["sampler"] = client.save_weights_for_sampler("sampler").result().path
    paths["external"] = client.save_weights_external("external").result().path
    sampler = client.create_sampling_client(paths["sampler"]).result()
    witness.saw["paths"] = paths
    witness.saw["sampler id"] = sampler._sampling_session_id
    return client.model_id


def read(witness: Witness, rest: tinker.RestClient, run: str) -> None:
    """What only looks."""
    saw, paths, session = witness.saw, witness.saw["paths"], run.split(":", maxsplit=1)[0]

    def use(name: str, *arguments: Any, **fields: Any) -> Any:
        """The answer of a method, and that of its deprecated twin, which is the same."""
        answer = witness.use(rest, name, *arguments, **fields).result()
        if hasattr(rest, f"{name}_async"):
            again = asyncio.run(witness.use(rest, f"{name}_async", *arguments, **fields))
            saw.setdefault("twins", {})[name] = answer == again
        return answer.model_dump(mode="json") if hasattr(answer, "model_dump") else answer

    saw["models"] = use("get_server_capabilities")
    saw["run"] = use("get_training_run", run)
    saw["run accessible"] = use("get_training_run", run, access_scope="accessible")
    saw["run by path"] = use("get_training_run_by_tinker_path", paths["two"])
    saw["runs"] = use("list_training_runs", limit=50, offset=0)
    saw["checkpoints"] = use("list_checkpoints", run)
    saw["all checkpoints"] = use("list_user_checkpoints", limit=3, offset=1)
    saw["weights"] = use("get_weights_info_by_tinker_path", paths["two"])
    saw["sampler"] = use("get_sampler", witness.saw["sampler id"])
    saw["session"] = use("get_session", session)
    saw["sessions"] = use("list_sessions", limit=10)
    saw["telemetry"] = witness.use(rest, "get_telemetry") is not None
    saw["trace"] = use("export_session_trace", session).split("?")[0]
    found = types.SessionSearchRequest(session_id=session, owner=types.AccessibleSearchOwner())
    saw["found"] = use("search_sessions", found)


def changed(witness: Witness, rest: tinker.RestClient, run: str) -> None:
    """What changes something, each method and its deprecated twin."""
    saw, paths = witness.saw, witness.saw["paths"]

    def both(name: str, *arguments: Any, **fields: Any) -> Any:
        witness.use(rest, name, *arguments, **fields).result()

    def twin(name: str, *arguments: Any, **fields: Any) -> Any:
        return asyncio.run(witness.use(rest, f"{name}_async", *arguments, **fields))

    both("publish_checkpoint_from_tinker_path", paths["one"])
    twin("publish_checkpoint_from_tinker_path", paths["two"])
    both("set_checkpoint_ttl_from_tinker_path", paths["one"], 7200)
    twin("set_checkpoint_ttl_from_tinker_path", paths["two"], 3600)
    twin("set_checkpoint_ttl_from_tinker_path", paths["two"], None)
    saw["published"] = listed(rest, run)
    both("unpublish_checkpoint_from_tinker_path", paths["one"])
    twin("unpublish_checkpoint_from_tinker_path", paths["two"])
    urls = witness.use(rest, "get_external_weights_urls", paths["external"]).result()
    again = twin("get_external_weights_urls", paths["external"])
    saw["files"] = {name: len(urllib.request.urlopen(url).read()) for name, url in urls.urls.items()}  # noqa: S310
    saw["twin files"] = sorted(again.urls)
    saw["links end with a zone"] = urls.expires.tzinfo is not None
    saw["copies"] = [
        witness.use(rest, "copy_weights", paths["two"], PROJECT, ttl_seconds=3600).result(),
        twin("copy_weights", paths["sampler"], PROJECT),
    ]
    session = run.split(":", maxsplit=1)[0]
    both("assign_session_project", session, f"{PROJECT}-first")
    twin("assign_session_project", session, PROJECT)
    saw["in project"] = [
        found.training_run_id for found in rest.list_training_runs(project_id=PROJECT).result().training_runs
    ]
    both("delete_checkpoint", run, "sampler_weights/sampler")
    twin("delete_checkpoint", run, "external_weights/external")
    both("delete_checkpoint_from_tinker_path", paths["one"])
    twin("delete_checkpoint_from_tinker_path", paths["two"])
    saw["left"] = [found["tinker_path"] for found in listed(rest, run)]


def listed(rest: tinker.RestClient, run: str) -> list[dict[str, Any]]:
    """The run's checkpoints."""
    return [found.model_dump(mode="json") for found in rest.list_checkpoints(run).result().checkpoints]


def main() -> None:
    """Go, and tell."""
    witness = Witness()
    with witness.listening():
        rest = tinker.RestClient()
        with tinker.ServiceClient() as service:
            run = made(witness, service)
            witness.saw["run id"] = run
            read(witness, rest, run)
            changed(witness, rest, run)
        try:
            witness.saw["who"] = witness.use(rest, "whoami").result().model_dump()
        except RuntimeError as without_tokens:
            witness.saw["who"] = str(without_tokens)
    witness.tell()


if __name__ == "__main__":
    main()
