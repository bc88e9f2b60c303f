"""Every dialect by name: the one list that the command line offers and the documents explain."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tinker_simulator.dialects import rows
from tinker_simulator.dialects.exchange import Dialect, Document
from tinker_simulator.dialects.ghosts import GhostLoad, GhostWeights, UnloadedModels
from tinker_simulator.dialects.identities import (
    BareCheckpointIds,
    OpaqueIds,
    OtherMiddlePart,
    TwoPartSamplerPaths,
    short_id,
    uuid_id,
)
from tinker_simulator.dialects.listings import Counted, Paged
from tinker_simulator.dialects.missing import CHECKPOINT, MissingRoute, NoCreateForm
from tinker_simulator.dialects.statuses import FailureAs, MissingAs500, SuccessAs
from tinker_simulator.simulation import Simulation

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"
_RUNS = frozenset({"training_runs"})
_CHECKPOINTS = frozenset({"checkpoints"})


@dataclass(frozen=True, slots=True)
class Profile:
    """One dialect.

    Attributes:
        deviation: What the server does otherwise, in one sentence.
        make: Makes it anew over a simulation.
    """

    deviation: str
    make: Callable[[Simulation], Dialect]


def _lacks(what: str, path: str, *methods: str) -> Profile:
    return Profile(f"{what} is not there.", lambda _: MissingRoute(path, frozenset(methods)))


def _tells(deviation: str, change: Callable[[Document], None]) -> Profile:
    return Profile(deviation, lambda _: rows.Told(change))


def _does(deviation: str, dialect: Dialect) -> Profile:
    return Profile(deviation, lambda _: dialect)


DIALECTS: Mapping[str, Profile] = MappingProxyType(
    {
        "no-client-config": _lacks("`POST client/config`", "client/config", "POST"),
        "no-sessions": _lacks("Everything below `sessions`, finishing one included,", "sessions(/.*)?", "GET", "POST"),
        "no-user-checkpoints": _lacks("`GET checkpoints`, the list of all of a user,", "checkpoints", "GET"),
        "no-delete": _lacks("`DELETE` of a checkpoint", CHECKPOINT, "DELETE"),
        "no-publish": _lacks("`publish`", f"{CHECKPOINT}/publish", "POST", "DELETE"),
        "no-ttl": _lacks("`ttl`", f"{CHECKPOINT}/ttl", "PUT"),
        "no-run-listing": _lacks("`GET training_runs`", "training_runs", "GET"),
        "no-create-form-422": _does(
            "`load_weights` that makes a run is refused by a validator, 422.", NoCreateForm(status=422)
        ),
        "no-create-form-400": _does(
            "`load_weights` that makes a run is refused in a sentence, 400.", NoCreateForm(status=400)
        ),
        "success-200": _does("Calls that change something succeed with 200.", SuccessAs(200)),
        "success-201": _does("Calls that change something succeed with 201.", SuccessAs(201)),
        "success-202": _does("Calls that change something succeed with 202.", SuccessAs(202)),
        "success-204": _does("Calls without a result succeed with 204.", SuccessAs(204)),
        "failure-as-400": _does("Work that failed makes the poll a 400.", FailureAs("status")),
        "failure-as-error": _does("Work that failed is a 200 with `error` alone.", FailureAs("error")),
        "failure-as-type": _does("Work that failed is a 200 of type `request_failed`.", FailureAs("typed")),
        "missing-as-500": _does(
            "What does not exist is answered 500, and the connection is cut after it.", MissingAs500()
        ),
        "short-ids": Profile(
            "Runs have ids like `model_1a2b3c4d`.", lambda it: OpaqueIds(it, short_id, r"model_[0-9a-f]{8}")
        ),
        "uuid-ids": Profile("Runs have bare UUIDs for ids.", lambda it: OpaqueIds(it, uuid_id, _UUID)),
        "bare-checkpoint-ids": _does("`checkpoint_id` lacks the `weights/` before it.", BareCheckpointIds()),
        "two-part-sampler-paths": _does("Sampler paths have two parts.", TwoPartSamplerPaths()),
        "other-middle-part": _does(
            "Training checkpoints are filed under another word than `weights`.", OtherMiddlePart("training")
        ),
        "naive-times": _tells("Times have no zone.", rows.naive_times),
        "null-times": _tells("`time` of checkpoints is null.", rows.null_times),
        "still-clock": _tells("`last_request_time` never moves.", rows.still_clock),
        "no-last-checkpoint": _tells(
            "`last_checkpoint` is null although there are checkpoints.", rows.no_last_checkpoint
        ),
        "no-metadata": _tells("`user_metadata` is always null.", rows.no_metadata),
        "zero-count": _does("`cursor.total_count` is always 0.", Counted(cursor=True)),
        "no-cursor": _does("Lists have no cursor.", Counted(cursor=False)),
        "limit-500": _does("Runs come 500 at a time, whatever was asked.", Paged(_RUNS, limit=500, cursor=True)),
        "paged-checkpoints": _does("A run's checkpoints come two at a time.", Paged(_CHECKPOINTS, 2, cursor=True)),
        "capped-checkpoints": _does(
            "A run's checkpoints come ten at a time, and nothing says so.", Paged(_CHECKPOINTS, 10, cursor=False)
        ),
        "unpaged": _does(
            "Every list comes whole, whatever the offset.", Paged(_RUNS | _CHECKPOINTS, None, cursor=False)
        ),
        "unordered": _does("Lists are in no order.", Paged(_RUNS | _CHECKPOINTS, 100, cursor=True, ordered=False)),
        "ghost-weights-info": Profile("`weights_info` answers for a deleted checkpoint.", GhostWeights),
        "ghost-load": Profile("`load_weights` succeeds on a deleted checkpoint.", GhostLoad),
        "unloaded-models": Profile(
            "A run is listed as fine and its model is not loaded: training calls fail.", lambda _: UnloadedModels()
        ),
    }
)
"""All dialects, each one deviation; several may be spoken at once."""
