"""The official SDK's RestClient and its command line, unmodified: every method, every command, without a complaint."""

import inspect
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import tinker
from safetensors.numpy import load_file
from tests.leaving import TINKER, USING_THE_SDK
from tests.simulator.bare import KEYS, Served, Wire

pytestmark = pytest.mark.http

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(__file__).parent / "sdk"
Saw = dict[str, Any]
CommandLine = Callable[..., "subprocess.CompletedProcess[str]"]

ADMINISTRATION = "needs an administrator of the organization at the real service: billing and audit are not simulated"
NOT_CALLED: dict[str, str] = dict.fromkeys(
    (
        f"get_{name}{form}"
        for name in ("audit_log", "billing_usage", "current_checkpoint_storage_usage")
        for form in ("", "_async")
    ),
    ADMINISTRATION,
)
# What the SDK says of its own accord when a thing goes as it should.
EXPECTED_WORDS = (
    "tinker.lib.public_interfaces.rest_client: Building trace export for session: ",
    "ExperimentalWarning: RestClient.search_sessions is experimental",
)


def environment(url: str, key: str, **more: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TINKER_")}
    shown = {"TINKER_API_KEY": key} if key else {}
    return {**inherited, **shown, "TINKER_BASE_URL": url, "NO_COLOR": "1", "COLUMNS": "400", **more}


@pytest.fixture(scope="module")
def with_tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A simulator whose clients exchange their keys for tokens."""
    served = Served(tmp_path_factory.mktemp("with-tokens"), options=("--jwt",))
    served.start()
    yield served
    served.close()


@pytest.fixture(scope="module", params=["keys", "tokens"])
def credential(request: pytest.FixtureRequest) -> str:
    """What clients show."""
    return str(request.param)


@pytest.fixture(scope="module")
def at(credential: str, shared: Served, with_tokens: Served) -> Served:
    """The simulator for clients of that kind."""
    return shared if credential == "keys" else with_tokens


@pytest.fixture(scope="module")
def key(next_key: Callable[[], str]) -> str:
    """Whose journey it is."""
    return next_key()


@pytest.fixture(scope="module")
def saw(at: Served, key: str) -> Saw:
    """What one tour through the RestClient saw."""
    done = subprocess.run(
        [*USING_THE_SDK, str(SCRIPTS / "rest_tour.py")],
        env=environment(at.url, key, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    document: Saw = json.loads(done.stdout)
    return document


def test_every_public_method_of_the_rest_client_is_called_or_named_with_a_reason(saw: Saw) -> None:
    """A method that a later SDK brings fails this, until it is called or excluded."""
    public = {name for name, _ in inspect.getmembers(tinker.RestClient, callable) if not name.startswith("_")}

    assert {method.removeprefix("RestClient.") for method in saw["called"]} == public - set(NOT_CALLED)


def test_the_sdk_complains_of_nothing(saw: Saw) -> None:
    """Over the whole tour, no log record of WARNING or above but two that the SDK says when all is well."""
    assert [line for line in saw["complaints"] if not line.startswith(EXPECTED_WORDS)] == []


def test_a_deprecated_method_answers_as_the_one_that_follows_it(saw: Saw) -> None:
    """Asked twice, everything that is only read says the same, the links of traces apart."""
    assert {name for name, same in saw["twins"].items() if not same} <= {"export_session_trace"}
    assert len(saw["twins"]) == 9


def test_a_run_is_read_back_in_every_way(saw: Saw) -> None:
    """Alone, by a path, in the listing, and in its session."""
    run, (listed,) = saw["run"], saw["runs"]["training_runs"]

    assert run == saw["run accessible"] == saw["run by path"] == listed
    assert (run["lora_rank"], run["corrupted"], run["user_metadata"]) == (4, False, {"made-by": "tour"})
    assert run["last_checkpoint"]["tinker_path"] == saw["paths"]["three"]
    assert run["last_sampler_checkpoint"]["tinker_path"] == saw["paths"]["sampler"]
    assert saw["runs"]["cursor"] == {"offset": 0, "limit": 50, "total_count": 1}
    assert saw["session"]["training_run_ids"] == [saw["run id"]]
    assert saw["session"]["sampler_ids"] == [saw["sampler id"]]
    assert saw["run id"].split(":")[0] in saw["sessions"]["sessions"]
    assert saw["sampler"]["model_path"] == saw["paths"]["sampler"]
    assert saw["weights"]["lora_rank"] == 4


def test_checkpoints_are_listed_newest_first_with_their_kinds(saw: Saw) -> None:
    """Those of a run whole, those of a user by pages."""
    order = ["external", "sampler", "three", "two", "one"]
    listed = saw["checkpoints"]["checkpoints"]

    assert [found["tinker_path"] for found in listed] == [saw["paths"][name] for name in order]
    assert [found["checkpoint_type"] for found in listed] == ["external", "sampler", "training", "training", "training"]
    assert listed[2]["user_metadata"] == {"name": "three"}
    assert all(datetime.fromisoformat(found["time"]).tzinfo is not None for found in listed)
    assert saw["all checkpoints"]["checkpoints"] == listed[1:4]
    assert saw["all checkpoints"]["cursor"] == {"offset": 1, "limit": 3, "total_count": 5}


def test_publishing_and_lifetimes_show_in_the_listing(saw: Saw) -> None:
    """Two are public, one of them for two hours more."""
    by_name = {found["checkpoint_id"].rsplit("/", 1)[1]: found for found in saw["published"]}

    assert [name for name, found in by_name.items() if found["public"]] == ["two", "one"]
    assert [name for name, found in by_name.items() if found["expires_at"]] == ["one"]


def test_an_export_is_downloaded_by_its_links_alone(saw: Saw) -> None:
    """Both files of the adapter, without a key."""
    assert sorted(saw["files"]) == saw["twin files"] == ["adapter_config.json", "adapter_model.safetensors"]
    assert all(size > 100 for size in saw["files"].values())
    assert saw["links end with a zone"] is True


def test_copies_are_runs_of_their_own_in_the_project(saw: Saw) -> None:
    """Of either kind; with the session that was moved there, its runs are in the project too."""
    copied = [re.fullmatch(r"tinker://([^/]+)/([^/]+)/([^/]+)", path) for path in saw["copies"]]

    assert [match and match.group(2, 3) for match in copied] == [("weights", "two"), ("sampler_weights", "sampler")]
    assert set(saw["in project"]) == {match.group(1) for match in copied if match} | {saw["run id"]}


def test_what_was_deleted_is_gone_and_nothing_else(saw: Saw) -> None:
    """Four methods, four checkpoints."""
    assert saw["left"] == [saw["paths"]["three"]]


def test_a_session_is_found_with_what_became_of_it(saw: Saw) -> None:
    """While its client lives it is active."""
    (found,) = saw["found"]["sessions"]

    assert (found["session_id"], found["status"]) == (saw["run id"].split(":")[0], {"type": "active"})
    assert found["checkpoints_count"] == 5
    assert saw["trace"].startswith("http://127.0.0.1:")


def test_who_one_is_is_told_by_tokens_alone(saw: Saw, credential: str, key: str) -> None:
    """With keys, the SDK says why it cannot tell."""
    if credential == "keys":
        assert "whoami requires JWT auth" in saw["who"]
        return
    owner = f"{key}-owner"
    assert saw["who"] == {
        "user_urn": f"tml:user:{owner}",
        "org_urn": "tml:organization:simulator",
        "email": f"{owner}@simulator.example",
    }


@pytest.fixture(params=["table", "json"])
def form(request: pytest.FixtureRequest) -> str:
    """How the command line prints."""
    return str(request.param)


@pytest.fixture
def command_line(shared: Served, api: Wire, tmp_path: Path) -> CommandLine:
    """The official command line as the owner behind `api`; warnings of its libraries would be on stderr."""

    def call(*arguments: str, stdin: str | None = None, key: str = api.key) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*USING_THE_SDK, TINKER, *arguments],
            env=environment(shared.url, key, HOME=str(tmp_path), TINKER_LOG="warning"),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            input=stdin,
            cwd=tmp_path,
        )

    return call


def said(done: "subprocess.CompletedProcess[str]") -> str:
    """What a command printed; it ended well, and complained of nothing."""
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_runs_are_listed_and_shown(api: Wire, command_line: CommandLine, form: str) -> None:
    """`tinker run list` and `tinker run info`: a corrupted run has failed."""
    sound, corrupted = api.run(), api.run(user_metadata={"a": "b"})
    api.order("corrupt", {"run": corrupted})
    listed = said(
        command_line("-f", form, "run", "list", "-c", "id,model,owner,lora,updated,status,checkpoint,checkpoint_time")
    )
    shown = said(command_line("-f", form, "run", "info", corrupted))

    if form == "json":
        runs = {run["training_run_id"]: run["corrupted"] for run in json.loads(listed)["runs"]}
        assert runs == {sound: False, corrupted: True}
        assert json.loads(shown)["user_metadata"] == {"a": "b"}
    else:
        assert re.search(rf"{re.escape(corrupted)}.*Failed", listed)
        assert re.search(rf"{re.escape(sound)}.*OK", listed)
        assert "Failed" in shown


def test_checkpoints_are_listed_and_shown(api: Wire, command_line: CommandLine, form: str) -> None:
    """`tinker checkpoint list`, of a run and of all, and `tinker checkpoint info`."""
    run = api.run()
    one, two = api.saved(run, "one", ttl_seconds=7200), api.saved(run, "two", user_metadata={"step": "2"})
    whole, of_run = (said(command_line("-f", form, "checkpoint", "list", *scope)) for scope in ((), ("--run-id", run)))
    shown = said(command_line("-f", form, "checkpoint", "info", two))

    if form == "json":
        for listed in (whole, of_run):
            assert [found["tinker_path"] for found in json.loads(listed)["checkpoints"]] == [two, one]
        assert json.loads(shown)["user_metadata"] == {"step": "2"}
    else:
        assert [whole.index(two) < whole.index(one), of_run.index(two) < of_run.index(one)] == [True, True]
        assert "LoRA" in shown


def test_checkpoints_are_changed(api: Wire, command_line: CommandLine, form: str) -> None:
    """`publish`, `unpublish`, `set-ttl` both ways, and `delete` of one, of several, and by what they are."""
    run = api.run()
    paths = [api.saved(run, name) for name in ("a", "b", "c", "d")]
    route = f"training_runs/{run}/checkpoints"

    def newest() -> dict[str, Any]:
        found: dict[str, Any] = api.get(route).json()["checkpoints"][0]
        return found

    def change(*arguments: str) -> str:
        return said(command_line("-f", form, "checkpoint", *arguments))

    change("publish", paths[3])
    assert newest()["public"] is True
    change("unpublish", paths[3])
    change("set-ttl", paths[3], "--ttl", "3600")
    assert (newest()["public"], newest()["expires_at"] is None) == (False, False)
    change("set-ttl", paths[3], "--remove")
    assert newest()["expires_at"] is None
    deleted = change("delete", "-y", paths[0], paths[1])
    assert [found["tinker_path"] for found in api.get(route).json()["checkpoints"]] == [paths[3], paths[2]]
    change("delete", "-y", "--run-id", run, "--type", "weights", "--after", "2020-01-01", "--before", "2999-01-01")
    assert api.get(route).json()["checkpoints"] == []
    assert json.loads(deleted) == {"deleted_count": 2, "failed": []} if form == "json" else "Deleted 2" in deleted


def test_a_checkpoint_is_downloaded_as_an_adapter(
    api: Wire, command_line: CommandLine, form: str, tmp_path: Path
) -> None:
    """`tinker checkpoint download` of a training checkpoint: through a run and an export that is gone afterwards."""
    run = api.run(rank=5)
    api.train(run)
    path = api.saved(run, "a")
    done = command_line("-f", form, "checkpoint", "download", path, "-o", str(tmp_path / "out"))

    assert done.returncode == 0, done.stderr
    assert done.stderr == "" or form == "table"
    (folder,) = (tmp_path / "out").iterdir()
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (config["r"], config["base_model_name_or_path"]) == (5, "Qwen/Qwen3-8B")
    tensors = load_file(folder / "adapter_model.safetensors")
    assert {tensor.shape[0] for name, tensor in tensors.items() if "lora_A" in name} == {5}
    assert [found["tinker_path"] for found in api.get("checkpoints").json()["checkpoints"]] == [path]
    (stray,) = [
        found["user_metadata"]
        for found in api.get("training_runs").json()["training_runs"]
        if found["training_run_id"] != run
    ]
    assert stray == {"created_by": "tinker checkpoint download"}


def test_a_sessions_trace_is_exported(api: Wire, command_line: CommandLine, form: str, tmp_path: Path) -> None:
    """`tinker session export-trace`: the file is a timeline of the session's runs."""
    run = api.run()
    session = run.split(":")[0]
    api.saved(run, "a")
    assert api.get(f"sessions/{session}/trace_export").json() == {"status": "pending"}
    done = command_line("-f", form, "session", "export-trace", session, "-o", str(tmp_path / "trace"))

    assert (done.returncode, done.stderr == "") == (0, form == "json"), done.stderr
    events = json.loads((tmp_path / "trace").read_text())["traceEvents"]
    assert {event["name"] for event in events} == {"thread_name", "Qwen/Qwen3-8B", "weights/a"}


def test_models_and_access_are_shown(command_line: CommandLine, form: str) -> None:
    """`tinker model list`, `tinker auth status` and `tinker version`."""
    assert "Qwen/Qwen3-8B" in said(command_line("-f", form, "model", "list"))
    assert "Tinker accessible: yes" in said(command_line("-f", form, "auth", "status"))
    assert "0.38" in said(command_line("-f", form, "version"))


def test_a_login_stores_the_key_and_a_logout_forgets_it(api: Wire, command_line: CommandLine) -> None:
    """`tinker auth login` learns whose the key is; what it stored is what later commands use."""
    done = command_line("auth", "login", stdin=f"{api.key}\n", key="")
    assert done.returncode == 0, done.stderr
    assert f"{api.key}-owner@simulator.example (simulator)" in done.stdout

    assert json.loads(said(command_line("-f", "json", "run", "list", key=""))) == {"runs": []}
    assert "Removed credential" in said(command_line("auth", "logout", key=""))
    assert command_line("run", "list", key="").returncode == 1


def test_who_one_is_is_shown_where_there_are_tokens(with_tokens: Served, form: str, tmp_path: Path) -> None:
    """`tinker auth whoami`."""
    done = subprocess.run(
        [*USING_THE_SDK, TINKER, "-f", form, "auth", "whoami"],
        env=environment(with_tokens.url, KEYS[0], HOME=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert f"{KEYS[0]}-owner@simulator.example" in said(done)


FAILED: dict[str, tuple[tuple[str, ...], str]] = {
    "a run that is not there": (("run", "info", "nobody:train:0"), "not found"),
    "a checkpoint that is not there": (("checkpoint", "publish", "tinker://nobody/weights/a"), "not found"),
    "a lifetime out of range": (("checkpoint", "set-ttl", "{path}", "--ttl", "5"), "ttl_seconds must be between"),
    "a sampler's checkpoint": (("checkpoint", "download", "tinker://a/sampler_weights/b"), "cannot be downloaded"),
    "a session that is not there": (("session", "export-trace", "nobody", "--url-only"), "not found"),
}


@pytest.mark.parametrize("why", FAILED)
def test_the_command_line_fails_at_once_and_says_why(api: Wire, command_line: CommandLine, why: str) -> None:
    """Exit 1, the service's own words."""
    arguments, reason = FAILED[why]
    path = api.saved(api.run(), "a")
    done = command_line("-f", "json", *(argument.replace("{path}", path) for argument in arguments))

    assert done.returncode == 1
    assert reason in done.stderr


def test_deleting_what_is_not_there_is_told_and_no_failure(command_line: CommandLine) -> None:
    """The command line counts it, and exits 0."""
    told = json.loads(said(command_line("-f", "json", "checkpoint", "delete", "-y", "tinker://nobody/weights/a")))

    assert told["deleted_count"] == 0
    assert [failed["tinker_path"] for failed in told["failed"]] == ["tinker://nobody/weights/a"]
