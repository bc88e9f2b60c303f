"""What is kept in mind of a TrainingRun agrees with the object itself."""

import pytest
from tests.core.builders import START, playing

from tinker_operator.api.meta import to_wire
from tinker_operator.controllers.accounts import OWN_ACCOUNT, Account
from tinker_operator.controllers.tracked import tracked

pytestmark = pytest.mark.pure


def obj_of(spec: dict[str, object], status: dict[str, object] | None = None) -> dict[str, object]:
    """A TrainingRun as the API server has it."""
    metadata = {"name": "sft", "namespace": "team", "uid": "u", "generation": 1, "resourceVersion": "1"}
    return {"metadata": metadata, "spec": spec, "status": status or {}}


def test_an_object_that_nobody_reconciled_yet() -> None:
    """It follows what its spec adopts, and is bound to nothing."""
    known = tracked(obj_of({"run": {"trainingRunId": "s:train:0"}, "credentialsRef": {"name": "key"}}))

    assert known is not None
    assert (known.followed, known.is_bound, known.discovers) == ("s:train:0", False, False)
    assert known.account == Account("team", "key")


def test_an_object_in_the_middle_of_a_recovery() -> None:
    """It is bound, and its sessions are held."""
    game = playing()
    game.service.corrupt()
    game.look()
    game.look()
    while game.run.status.recovery.in_flight is None or game.run.status.recovery.in_flight.session_id is None:
        game.round()
    known = tracked(obj_of({"run": {"trainingRunId": "s0:train:0"}}, to_wire(game.run.status)))

    assert known is not None
    assert (known.is_bound, known.account, known.uid) == (True, OWN_ACCOUNT, "u")
    assert known.sessions == {game.run.status.recovery.in_flight.session_id}
    assert game.now > START


def test_an_object_that_does_not_parse_is_not_kept_in_mind() -> None:
    """Its own controller tells of it."""
    assert tracked(obj_of({"run": {}, "pollIntervalSeconds": "soon"})) is None
    assert tracked(None) is None
