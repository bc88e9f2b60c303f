"""The error tree is what its docstring draws."""

import copy
import inspect
import pickle
import re

import pytest

from tinker_operator.tinker import errors
from tinker_operator.tinker.errors import FutureFailed, RateLimited, TinkerError

pytestmark = pytest.mark.pure

LINE = re.compile(r"^    (?P<bars>[│├└─ ]*)(?P<name>[A-Z]\w+)(?P<text>.*)$")


def drawn() -> dict[str, tuple[str | None, bool]]:
    """Read the drawing: class → (parent, transient)."""
    found: dict[str, tuple[str | None, bool]] = {}
    branch: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := LINE.match(line):
            depth = len(match["bars"]) // 4
            del branch[depth:]
            found[match["name"]] = (branch[-1] if branch else None, match["text"].endswith(" transient"))
            branch.append(match["name"])
    return found


def classes() -> dict[str, type[TinkerError]]:
    return {
        name: kind
        for name, kind in vars(errors).items()
        if inspect.isclass(kind) and issubclass(kind, TinkerError) and kind.__module__ == errors.__name__
    }


def test_the_docstring_draws_every_class_at_its_place_with_its_transience() -> None:
    real = {
        name: (None if kind is TinkerError else kind.__bases__[0].__name__, kind.transient)
        for name, kind in classes().items()
    }
    assert drawn() == real


@pytest.mark.parametrize("kind", classes().values())
def test_each_class_has_a_reason_of_its_own_that_a_condition_accepts(kind: type[TinkerError]) -> None:
    assert kind.reason == kind.__name__
    assert re.fullmatch(r"[A-Z][A-Za-z]+", kind.reason)


@pytest.mark.parametrize("kind", classes().values())
def test_each_error_says_what_happened_and_then_what_to_do(kind: type[TinkerError]) -> None:
    assert str(kind("It broke", "Mend it.")) == "It broke. Mend it."
    usual = str(kind("It broke."))
    assert usual.startswith("It broke. ")
    assert re.search(r" [A-Z].+\.$", usual)


@pytest.mark.parametrize("kind", classes().values())
def test_each_error_survives_copying_and_pickling(kind: type[TinkerError]) -> None:
    error = kind("It broke", "Mend it.")
    assert str(copy.copy(error)) == str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - our own bytes


def test_what_an_error_carries_survives_pickling() -> None:
    limited = pickle.loads(pickle.dumps(RateLimited("Slow down", status=429, retry_after=7.0)))  # noqa: S301 - our own
    assert (limited.status, limited.retry_after) == (429, 7.0)
    assert FutureFailed("x").category == "unknown"


def test_a_missing_route_is_not_caught_as_a_missing_resource() -> None:
    assert not issubclass(errors.RouteMissing, errors.NotFound)
    assert not issubclass(errors.NotFound, errors.RouteMissing)
