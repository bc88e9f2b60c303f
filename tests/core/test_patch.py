"""The laws of the status patch: it says all that changed, nothing else, and nothing at all when nothing did."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinker_operator.core.patch import merge_patch

pytestmark = pytest.mark.pure

LEAVES = st.one_of(st.booleans(), st.integers(-2, 2), st.sampled_from(["", "a", "b"]))
VALUES = st.recursive(
    st.one_of(LEAVES, st.lists(LEAVES, max_size=2)),
    lambda inner: st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=8,
)
STATUSES = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


def applied(document: Any, patch: Any) -> Any:
    """Returns what an API server makes of a merge patch, as RFC 7386 has it in its own pseudo-code."""
    if not isinstance(patch, dict):
        return patch
    result = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = applied(result.get(key), value)
    return result


def leaves(patch: dict[str, Any]) -> int:
    return sum(leaves(value) if isinstance(value, dict) and value else 1 for value in patch.values())


@given(before=STATUSES, after=STATUSES)
def test_it_leads_from_one_status_to_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert applied(before, merge_patch(before, after)) == after


@given(status=STATUSES)
def test_equal_statuses_need_no_patch(status: dict[str, Any]) -> None:
    assert merge_patch(status, status) == {}


@given(before=STATUSES, after=STATUSES)
def test_nothing_can_be_left_out_of_it(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Without any one of its entries it would lead elsewhere."""

    def without_each(patch: dict[str, Any]) -> list[dict[str, Any]]:
        shorter = [{key: value for key, value in patch.items() if key != left_out} for left_out in patch]
        nested = [
            {**patch, key: less}
            for key, value in patch.items()
            if isinstance(value, dict)
            for less in without_each(value)
        ]
        return shorter + [one for one in nested if leaves(one) < leaves(patch)]

    assert [one for one in without_each(merge_patch(before, after)) if applied(before, one) == after] == []
