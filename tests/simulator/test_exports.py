"""Exported adapters: real files, true to the run, behind links that end, downloaded in parts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyrage  # type: ignore[import-untyped]
import pytest
from safetensors.numpy import load, load_file
from tests.simulator.bare import BASE_MODEL, Served, Wire

from tinker_simulator.archive import decode
from tinker_simulator.exports import write_export
from tinker_simulator.learning.adapter import AdapterConfig, initial_factors

FILES = ["adapter_config.json", "adapter_model.safetensors"]


def exported(api: Wire, run: str, name: str = "out", **fields: Any) -> str:
    """Export a run's adapter, and return the route of its checkpoint."""
    body = {"model_id": run, "seq_id": api.next_seq(run), "path": name, **fields}
    done = api.ended(api.post("save_weights_external", body)).json()
    assert done["path"] == f"tinker://{run}/external_weights/{name}", done
    return f"training_runs/{run}/checkpoints/external_weights/{name}"


def links(api: Wire, route: str) -> dict[str, str]:
    answer = api.get(f"{route}/external_weights_urls")
    assert answer.status_code == 200, answer.text
    urls: dict[str, str] = answer.json()["urls"]
    return urls


def weights_link(api: Wire) -> str:
    """A link to the tensors of a new export."""
    return links(api, exported(api, api.run()))["adapter_model.safetensors"]


@pytest.mark.pure
@pytest.mark.parametrize("trained", ["unembed", "mlp", "attn"])
def test_an_export_has_the_modules_that_were_trained_and_no_other(tmp_path: Path, trained: str) -> None:
    """Rank, base model and module are told by the configuration and kept by the tensors."""
    parts = {f"train_{part}": part == trained for part in ("unembed", "mlp", "attn")}
    factors = initial_factors(AdapterConfig("some/model", rank=3, seed=1, **parts))
    size = write_export(tmp_path / "run" / "out", factors, "some/model")

    config = json.loads((tmp_path / "run" / "out" / FILES[0]).read_text())
    tensors = load_file(tmp_path / "run" / "out" / FILES[1])
    assert (config["peft_type"], config["r"], config["base_model_name_or_path"]) == ("LORA", 3, "some/model")
    (module,) = config["target_modules"]
    names = {name.rsplit(".", 3)[1]: tensor.shape for name, tensor in tensors.items()}
    assert set(names) == {module}
    shapes = {name.rsplit(".", 2)[1]: tensor.shape for name, tensor in tensors.items()}
    assert (shapes["lora_A"][0], shapes["lora_B"][1]) == (3, 3)
    assert size == sum(path.stat().st_size for path in (tmp_path / "run" / "out").iterdir())


@pytest.mark.pure
def test_an_export_replaces_an_earlier_one_whole(tmp_path: Path) -> None:
    """What a kill left of an earlier try is gone."""
    factors = initial_factors(AdapterConfig("some/model", rank=2, seed=1))
    for folder in (tmp_path / "out", tmp_path / ".out.part"):
        folder.mkdir()
        (folder / "rest").write_text("of before")
    write_export(tmp_path / "out", factors, "some/model")

    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == FILES


@pytest.mark.http
def test_an_export_holds_what_the_run_has_learned(api: Wire, shared: Served) -> None:
    """B·A of every module is the same as in the checkpoint of that moment."""
    run = api.run(rank=6)
    api.train(run, steps=3)
    api.saved(run, "same")
    urls = links(api, exported(api, run))
    config = httpx.get(urls[FILES[0]]).json()
    tensors = load(httpx.get(urls[FILES[1]]).content)
    folder = shared.state_dir / "checkpoints" / run.replace(":", "_") / "weights"
    factors = decode(next(folder.glob("same@*.npz")).read_bytes())

    assert (config["r"], config["base_model_name_or_path"], sorted(urls)) == (6, BASE_MODEL, FILES)
    assert len(config["target_modules"]) == 3
    for pair, module in (("unembed", "lm_head"), ("mlp", "down_proj"), ("attn", "o_proj")):
        sides = {name.rsplit(".", 2)[1]: tensor for name, tensor in tensors.items() if f".{module}." in name}
        expected = (factors[f"factors.{pair}_a"] @ factors[f"factors.{pair}_b"]).T
        np.testing.assert_allclose(sides["lora_B"] @ sides["lora_A"], expected, rtol=1e-4, atol=1e-6)
        assert np.abs(expected).max() > 0


@pytest.mark.http
def test_an_export_is_listed_like_any_checkpoint(api: Wire) -> None:
    """With its kind and size; it is no checkpoint to train from, and the run's last checkpoint stays."""
    run = api.run()
    path = api.saved(run, "a")
    exported(api, run, ttl_seconds=3600)
    newest = api.get(f"training_runs/{run}/checkpoints").json()["checkpoints"][0]

    assert (newest["checkpoint_type"], newest["checkpoint_id"]) == ("external", "external_weights/out")
    assert newest["size_bytes"] > 1000
    assert newest["expires_at"] is not None
    assert api.get(f"training_runs/{run}").json()["last_checkpoint"]["tinker_path"] == path
    assert api.load(newest["tinker_path"]).status_code == 400


@pytest.mark.http
def test_links_are_given_to_the_owner_and_for_exports_alone(
    api: Wire, shared: Served, connect: Callable[..., Wire]
) -> None:
    """404 for a stranger and for what is not there, 400 for another kind."""
    run = api.run()
    api.saved(run, "a")
    route = exported(api, run)

    assert connect(shared).get(f"{route}/external_weights_urls").status_code == 404
    assert api.get(f"{route}-not/external_weights_urls").status_code == 404
    assert api.get(f"training_runs/{run}/checkpoints/weights/a/external_weights_urls").status_code == 400


TAMPERED: dict[str, Callable[[str], str]] = {
    "another file": lambda link: link.replace("adapter_model", "adapter_config"),
    "a later end": lambda link: link.replace("expires=", "expires=9"),
    "another signature": lambda link: link[:-1] + ("0" if link[-1] != "0" else "1"),
    "no signature": lambda link: link.split("&")[0],
    "no end": lambda link: link.split("?")[0],
    "a signature that is no text of a signature": lambda link: link.split("signature=")[0] + "signature=%C3%A9",
    "a path that climbs": lambda link: link.replace("/signed/", "/signed/..%2F..%2F"),
}


@pytest.mark.http
@pytest.mark.parametrize("how", TAMPERED)
def test_a_link_that_was_changed_opens_nothing(api: Wire, how: str) -> None:
    """403, with or without a key."""
    link = TAMPERED[how](weights_link(api))

    assert [httpx.get(link).status_code, httpx.get(link, headers={"X-API-Key": api.key}).status_code] == [403, 403]


@pytest.mark.http
def test_a_link_ends_with_its_hour(own: Served, connect: Callable[..., Wire]) -> None:
    """By the clock of the simulator; a new one is to be had."""
    api = connect(own)
    route = exported(api, api.run())
    link = links(api, route)["adapter_config.json"]
    api.order("clock", {"advance_seconds": 3590})
    before = httpx.get(link).status_code
    api.order("clock", {"advance_seconds": 11})

    assert (before, httpx.get(link).status_code) == (200, 403)
    assert httpx.get(links(api, route)["adapter_config.json"]).status_code == 200


@pytest.mark.http
def test_a_link_outlives_a_restart_but_not_its_export(own: Served, connect: Callable[..., Wire]) -> None:
    """404 once the export is deleted."""
    api = connect(own)
    route = exported(api, api.run())
    link = links(api, route)["adapter_config.json"]
    own.close()
    own.start()

    assert httpx.get(link).status_code == 200
    assert api.delete(route).status_code == 204
    assert httpx.get(link).status_code == 404
    assert not list((own.state_dir / "checkpoints").rglob("adapter_*"))


RANGES: dict[str, tuple[str, slice | None]] = {
    "the beginning": ("bytes=0-99", slice(0, 100)),
    "the middle": ("bytes=100-199", slice(100, 200)),
    "all from somewhere": ("bytes=100-", slice(100, None)),
    "the end": ("bytes=-100", slice(-100, None)),
    "more than there is": ("bytes=100-999999", slice(100, None)),
    "more of the end than there is": ("bytes=-999999", slice(0, None)),
    "one byte": ("bytes=5-5", slice(5, 6)),
    "two parts": ("bytes=0-1,5-6", None),
    "another unit": ("lines=0-1", None),
    "a part that ends before it begins": ("bytes=5-2", None),
    "nothing that is a part": ("bytes=-", None),
}


@pytest.mark.http
@pytest.mark.parametrize("which", RANGES)
def test_a_part_is_sent_when_it_is_asked_for(api: Wire, which: str) -> None:
    """206 with the bounds; what cannot be sent as one part is sent whole."""
    asked, expected = RANGES[which]
    link = weights_link(api)
    whole = httpx.get(link)
    part = httpx.get(link, headers={"Range": asked})

    assert (whole.status_code, whole.headers["accept-ranges"]) == (200, "bytes")
    assert int(whole.headers["content-length"]) == len(whole.content)
    if expected is None:
        assert (part.status_code, part.content, "content-range" in part.headers) == (200, whole.content, False)
        return
    first, end, _ = expected.indices(len(whole.content))
    assert (part.status_code, part.content) == (206, whole.content[expected])
    assert part.headers["content-range"] == f"bytes {first}-{end - 1}/{len(whole.content)}"
    assert int(part.headers["content-length"]) == end - first


@pytest.mark.http
@pytest.mark.parametrize("asked", ["bytes=999999-", "bytes=-0"])
def test_bytes_that_are_not_there_are_not_satisfiable(api: Wire, asked: str) -> None:
    """416 tells the size."""
    link = weights_link(api)
    size = len(httpx.get(link).content)
    answer = httpx.get(link, headers={"Range": asked})

    assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{size}")


@pytest.mark.http
def test_a_download_is_resumed_only_into_the_same_version(api: Wire) -> None:
    """By tag or by date; otherwise everything is sent anew."""
    link = weights_link(api)
    whole = httpx.get(link)
    answers = {
        condition: httpx.get(link, headers={"Range": "bytes=10-", "If-Range": condition}).status_code
        for condition in (
            whole.headers["etag"],
            whole.headers["last-modified"],
            '"other"',
            "Thu, 01 Jan 1970 00:00:00 GMT",
        )
    }

    assert list(answers.values()) == [206, 206, 200, 200]
    assert httpx.get(link, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    head = httpx.head(link)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(whole.content)))


@pytest.mark.http
@pytest.mark.parametrize("rank", [256])
def test_a_large_file_arrives_whole(api: Wire, rank: int) -> None:
    """In many pieces."""
    urls = links(api, exported(api, api.run(rank=rank)))
    tensors = load(httpx.get(urls["adapter_model.safetensors"]).content)

    assert {tensor.shape[0] for name, tensor in tensors.items() if "lora_A" in name} == {rank}


@pytest.mark.http
def test_files_for_recipients_open_with_their_identities_alone(api: Wire) -> None:
    """Each file is encrypted to each of them, and says so by its suffix."""
    identities = [pyrage.x25519.Identity.generate() for _ in range(2)]
    recipients = [str(identity.to_public()) for identity in identities]
    urls = links(api, exported(api, api.run(rank=3), age_encryption_recipients=recipients))
    contents = {name: httpx.get(link).content for name, link in urls.items()}

    assert sorted(contents) == [f"{name}.age" for name in FILES]
    for identity in identities:
        config = json.loads(pyrage.decrypt(contents[f"{FILES[0]}.age"], [identity]))
        assert config["r"] == 3
        assert load(pyrage.decrypt(contents[f"{FILES[1]}.age"], [identity]))
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(contents[f"{FILES[0]}.age"], [pyrage.x25519.Identity.generate()])


@pytest.mark.http
@pytest.mark.parametrize("recipients", [[], ["age1nobody"], ["ssh-ed25519 AAAA"], ["age1" + "q" * 58] * 11])
def test_recipients_that_nothing_can_be_encrypted_to_are_refused(api: Wire, recipients: list[str]) -> None:
    """400 at once, and nothing is exported."""
    run = api.run()
    body = {"model_id": run, "seq_id": api.next_seq(run), "path": "out", "age_encryption_recipients": recipients}
    answer = api.post("save_weights_external", body)

    assert answer.status_code == 400
    assert "age_encryption_recipients" in answer.json()["detail"]
    assert api.get(f"training_runs/{run}/checkpoints").json()["checkpoints"] == []


@pytest.mark.http
@pytest.mark.parametrize("how", ["truncate", "nan", "rank", "remove"])
def test_an_export_can_be_broken_like_any_checkpoint(api: Wire, how: str) -> None:
    """The listing stays; what is downloaded is broken in that way."""
    run = api.run(rank=4)
    route = exported(api, run)
    whole = httpx.get(links(api, route)[FILES[1]]).content
    before = api.get(f"training_runs/{run}/checkpoints").json()
    api.order("break-checkpoint", {"path": f"tinker://{run}/external_weights/out", "how": how})
    urls = links(api, route)

    assert api.get(f"training_runs/{run}/checkpoints").json() == before
    if how == "remove":
        assert urls == {}
        return
    content = httpx.get(urls[FILES[1]]).content
    if how == "truncate":
        assert content == whole[: len(whole) // 2]
        return
    factors = [tensor for name, tensor in load(content).items() if "lora_A" in name]
    assert {tensor.shape[0] for tensor in factors} == {3 if how == "rank" else 4}
    assert all(np.isnan(tensor).all() is np.bool_(how == "nan") for tensor in factors)


@pytest.mark.http
def test_a_fault_meets_a_download(api: Wire) -> None:
    """Half of the file, and a connection that ends in the middle of it."""
    link = weights_link(api)
    whole = httpx.get(link).content
    api.fault("half-body", count=1, route="GET /signed/")
    half = httpx.get(link).content
    api.fault("drop", when="midway", count=1, route="GET /signed/")
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(link)

    assert half == whole[: len(whole) // 2]
    assert httpx.get(link).content == whole
