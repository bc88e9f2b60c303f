"""The laws of the breaker, under a clock that a test moves."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tinker_operator.tinker.budget import Breaker, BreakerTerms

pytestmark = pytest.mark.pure

TERMS = BreakerTerms(failures=3, lasting_seconds=0, shortest_seconds=5, longest_seconds=60)


class BreakerMachine(RuleBasedStateMachine):
    """Calls begin and end in any order, looks and heartbeats among them, while time goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(TERMS)
        self.now = 0.0
        self.in_a_row = 0
        self.under_way: list[bool] = []

    @rule(seconds=st.floats(min_value=0, max_value=70))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(passes=st.booleans())
    def begin(self, passes: bool) -> None:
        was_open, due = self.breaker.is_open, self.breaker.next_try(self.now)
        leave = self.breaker.begun(self.now, passes=passes)
        if not was_open:
            assert leave is False, "a sound service is never asked less"
        elif passes:
            assert leave is False, "a look shows when it is over"
        elif leave is None:
            assert 0 < due <= TERMS.longest_seconds, "who is held back is told when to come"
        if leave is not None:
            self.under_way.append(leave)

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(min_value=0))
    def fail(self, which: int) -> None:
        probe = self.under_way.pop(which % len(self.under_way))
        self.in_a_row += 1
        self.breaker.failed(self.now, probe=probe)

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(min_value=0))
    def answer(self, which: int) -> None:
        self.under_way.pop(which % len(self.under_way))
        self.in_a_row = 0
        self.breaker.answered()
        assert not self.breaker.is_open

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(min_value=0))
    def abandon(self, which: int) -> None:
        self.breaker.abandoned(probe=self.under_way.pop(which % len(self.under_way)))

    @invariant()
    def it_is_open_after_so_many_failures_in_a_row_and_not_before(self) -> None:
        assert self.breaker.is_open == (self.in_a_row >= TERMS.failures)

    def teardown(self) -> None:
        """Once all is quiet, the longest pause is the longest that anybody waits for a probe."""
        for probe in self.under_way:
            self.breaker.abandoned(probe=probe)
        assert self.breaker.begun(self.now + TERMS.longest_seconds, passes=False) is not None


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(max_examples=80, stateful_step_count=30)


def test_many_calls_that_fail_at_one_moment_are_no_outage() -> None:
    """It takes failures over some seconds, and an answer in between begins the count anew."""
    breaker = Breaker(BreakerTerms(failures=10, lasting_seconds=3))
    for now in (0.0, 2.9):
        for _ in range(50):
            breaker.failed(now, probe=False)
    assert not breaker.is_open
    breaker.answered()
    breaker.failed(3.5, probe=False)
    assert not breaker.is_open
    for _ in range(9):
        breaker.failed(6.5, probe=False)
    assert breaker.is_open


def test_one_call_probes_and_each_probe_that_fails_doubles_the_pause() -> None:
    breaker = Breaker(TERMS)
    for _ in range(3):
        breaker.failed(0, probe=breaker.begun(0, passes=False) is True)
    pauses, now = [], 0.0
    for _ in range(6):
        pauses.append(breaker.next_try(now))
        now += pauses[-1]
        assert breaker.begun(now - 0.1, passes=False) is None
        assert breaker.begun(now, passes=False) is True
        assert breaker.begun(now, passes=False) is None, "one at a time"
        breaker.failed(now, probe=True)

    assert pauses == [5, 10, 20, 40, 60, 60]
