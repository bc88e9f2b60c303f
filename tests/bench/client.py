"""The project's client beside the official SDK at the same work, over HTTP against the simulator.

    python -m tests.bench.client --seed 1 --output client.json

Every turn is a process of its own; the SDK is used as its own command line uses it. The simulator is one process beside
it, so that wall time is partly the simulator's; CPU time and memory are the contender's alone.
"""

import json
import os
import random
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from tests.bench.contest import OURS, Contender, Contest, conclude, heed_signals
from tests.bench.outcome import Claim, Outcome, Series, Untrue
from tests.simulator.bare import KEYS, Served, Wire

KEY = KEYS[0]
SDK = "official SDK"
SDK_SAFE = "official SDK + fsync + SHA-256"
MIB = 1024**2
MEMORY_LIMIT = 64 * MIB
PER_BLOCK = 4 * MIB
WEIGHTS = "adapter_model.safetensors"
_OURS, _SDK = "tests.bench.ours_client", "tests.bench.baselines.sdk_client"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much work there is.

    Attributes:
        runs: Listed.
        gets: Single requests.
        at_once: So many of them at the same time, in the concurrent job.
        download_mib: Downloaded.
        repetitions: Turns of each contender at listing and getting.
        downloads: Turns of each contender at downloading.
    """

    runs: int
    gets: int
    at_once: int
    download_mib: int
    repetitions: int
    downloads: int


@dataclass(frozen=True, slots=True)
class Bench:
    """A simulator with something in it.

    Attributes:
        wire: The way to it.
        folder: For what is downloaded.
        sizes: How much work there is.
        draw: Decides the order of turns, and what is got.
    """

    wire: Wire
    folder: Path
    sizes: Sizes
    draw: random.Random

    def series(self, state: Path) -> Iterator[Series]:
        """Yields all measurements, one job after the other."""
        runs = self.wire.order("seed", {"runs": self.sizes.runs, "owner": f"{KEY}-owner"})["runs"]
        sizes, times = self.sizes, self.sizes.repetitions
        yield from self._contest("list", f"list {sizes.runs:,} runs", set(runs)).held(times, self.draw)
        some = self.draw.sample(runs, sizes.gets)
        got = f"get {sizes.gets:,} runs, "
        yield from self._contest("get", f"{got}one by one", some, runs=some).held(times, self.draw)
        at_once = self._contest("get32", f"{got}{sizes.at_once} at once", some, runs=some, at_once=sizes.at_once)
        yield from at_once.held(times, self.draw)
        yield from self._download(state).held(sizes.downloads, self.draw)

    def _contest(self, job: str, title: str, wanted: Any, **order: Any) -> Contest:
        def check(found: Any) -> None:
            if type(wanted)(found) != wanted or len(found) != len(wanted):
                raise Untrue(f"{title}: {len(found)} runs came, which are not the {len(wanted)} that there are")

        argument = json.dumps({"url": self.wire.url, "job": job, **order})
        contenders = [Contender(OURS, _OURS, lambda _: argument), Contender(SDK, _SDK, lambda _: argument)]
        return Contest(title, contenders, check, self._environ, self._requests)

    def _download(self, state: Path) -> Contest:
        path, size = self._large_export(state)
        target = self.folder / "target"
        title = f"download {self.sizes.download_mib:,} MiB"

        def check(found: Any) -> None:
            lengths = [file.stat().st_size for file in target.iterdir()]
            same = same_content(target / WEIGHTS, next(state.rglob(WEIGHTS)))
            shutil.rmtree(target)
            if not sum(lengths) == found == size or not same:
                raise Untrue(f"{title}: {sum(lengths)} bytes arrived and {found} were told, of {size}")

        def asked(job: str) -> str:
            return json.dumps({"url": self.wire.url, "job": job, "path": path, "target": str(target)})

        contenders = [
            Contender(OURS, _OURS, lambda _: asked("download")),
            Contender(SDK, _SDK, lambda _: asked("download")),
            Contender(SDK_SAFE, _SDK, lambda _: asked("download-safe")),
        ]
        return Contest(title, contenders, check, self._environ, self._requests)

    def _large_export(self, state: Path) -> tuple[str, int]:
        """Exports an adapter, and puts content of the wanted size in place of its weights."""
        run = self.wire.run()
        body = {"model_id": run, "seq_id": self.wire.next_seq(run), "path": "large"}
        path = str(self.wire.ended(self.wire.post("save_weights_external", body)).json()["path"])
        weights = next(state.rglob(WEIGHTS))
        with weights.open("wb") as file:
            for _ in range(0, self.sizes.download_mib * MIB, PER_BLOCK):
                file.write(self.draw.randbytes(PER_BLOCK))
            os.fsync(file.fileno())  # it is not written beside the first turn
        self._requests(0)  # what was asked to get here is nobody's
        return path, sum(each.stat().st_size for each in weights.parent.iterdir())

    @property
    def _environ(self) -> Mapping[str, str]:
        return {"TINKER_BASE_URL": self.wire.url, "TINKER_API_KEY": KEY}

    def _requests(self, _repetition: int) -> Mapping[str, float]:
        """How many requests the turn made, by the simulator's count."""
        counts = self.wire.http.delete("/_simulator/calls").json()["counts"]
        return {"requests": sum(counts.values())}


def same_content(one: Path, other: Path) -> bool:
    """Returns whether two files hold the same, without taking either into memory."""
    with one.open("rb") as left, other.open("rb") as right:
        while block := left.read(PER_BLOCK):
            if block != right.read(PER_BLOCK):
                return False
        return not right.read(1)


@contextmanager
def bench_of(sizes: Sizes, seed: int, folder: Path) -> Iterator[Bench]:
    """Serves a simulator for the time of a bench."""
    served = Served(folder / "state")
    try:
        served.start()
        wire = Wire(served.url, KEY)
        with wire.http:
            yield Bench(wire, folder, sizes, random.Random(seed))  # noqa: S311 - repeatable, not secret
    finally:
        served.close()


def memory_claim(series: list[Series], mib: int) -> Claim:
    """Judges how much memory our downloads took."""
    (ours,) = [one for one in series if one.job.startswith("download") and one.contender == OURS]
    most = max(ours.values["grown_bytes"])
    text = f"A download of {mib:,} MiB takes at most 64 MiB of memory: it took {most / MIB:.1f} MiB."
    return Claim(text, most <= MEMORY_LIMIT)


def measure(sizes: Sizes, seed: int) -> Outcome:
    """Returns what all contenders took for all jobs."""
    with TemporaryDirectory(prefix="bench-client-") as place, bench_of(sizes, seed, Path(place)) as bench:
        series = list(bench.series(Path(place) / "state"))
    arguments = {"seed": seed, **{name: getattr(sizes, name) for name in Sizes.__slots__}}
    return Outcome("client", arguments, series, [memory_claim(series, sizes.download_mib)])


@click.command()
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--runs", type=click.IntRange(1, 100_000), default=10_000, show_default=True)
@click.option("--gets", type=click.IntRange(1), default=1_000, show_default=True)
@click.option("--at-once", type=click.IntRange(1), default=32, show_default=True)
@click.option("--download-mib", type=click.IntRange(4), default=2_048, show_default=True, help="A multiple of 4.")
@click.option("--repetitions", type=click.IntRange(1), default=5, show_default=True)
@click.option("--downloads", type=click.IntRange(1), default=3, show_default=True, help="Repetitions of the download.")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="JSON of what was found.")
def main(seed: int, output: Path, **sizes: int) -> None:
    """Measure the client beside the official SDK."""
    heed_signals()
    outcome = measure(Sizes(**sizes), seed)
    conclude(outcome, output)


if __name__ == "__main__":
    main()
