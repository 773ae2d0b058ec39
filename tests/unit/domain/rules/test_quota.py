"""The quota's count: when it is the operator's turn to write it, and when it is somebody else's."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mcs_operator.domain.rules.quota import (
    INSTANCES_COUNT,
    LIMITS,
    LINKS_COUNT,
    WRONG_SECONDS,
    Doubt,
    Usage,
    quota_name,
)
from mcs_operator.render.quota import build_quota
from support.worlds import NOW, instance


def usage(links: int | None = None, instances: int = 1, hard: int = 250) -> Usage:
    used = {INSTANCES_COUNT: instances} | ({} if links is None else {LINKS_COUNT: links})
    return Usage({LINKS_COUNT: hard, INSTANCES_COUNT: 1}, used)


def there(links: int, instances: int = 1) -> dict[str, int]:
    return {LINKS_COUNT: links, INSTANCES_COUNT: instances}


def test_its_name_tells_instance_and_limit_and_its_limits_are_exact() -> None:
    body = build_quota(instance("milan")).body
    assert body["metadata"]["name"] == quota_name("milan") == "milan-max-250-tvoxlinks"
    assert body["spec"] == {"hard": {"count/tvoxlinks.mcs.tvox.io": "250", "count/mcsinstances.mcs.tvox.io": "1"}}
    assert [owner["name"] for owner in body["metadata"]["ownerReferences"]] == ["milan"]
    assert LIMITS[LINKS_COUNT] == 250


@pytest.mark.parametrize("links", [0, 1, 249, 250, 251, 300])
def test_a_right_count_is_left_alone(links: int) -> None:
    assert Doubt().wait(usage(links), "7", there(links), NOW) is None


def test_a_missing_count_is_made_at_once_because_everything_is_refused_without() -> None:
    assert usage(None).uncounted
    assert Usage().uncounted
    assert Doubt().wait(usage(None), "7", there(3), NOW) == 0.0


@pytest.mark.parametrize(
    ("wrong", "count"),
    [
        pytest.param(usage(251), there(250), id="a delete was not counted"),
        pytest.param(usage(0), there(250), id="somebody edited it"),
        pytest.param(usage(3, instances=0), there(3), id="the instance was not counted"),
        pytest.param(usage(3, hard=9999), there(3), id="the limit in force is not ours"),
    ],
)
def test_a_wrong_count_is_corrected_when_nobody_else_has_done_it_for_ten_seconds(
    wrong: Usage, count: dict[str, int]
) -> None:
    doubt = Doubt()
    assert doubt.wait(wrong, "7", count, NOW) == WRONG_SECONDS
    assert doubt.wait(wrong, "7", count, NOW + timedelta(seconds=9)) == pytest.approx(1.0)
    assert doubt.wait(wrong, "7", count, NOW + timedelta(seconds=10)) == 0.0


def test_whatever_moves_begins_the_wait_anew() -> None:
    """A create on its way is counted, and not yet among the links: to count it away would let one more in."""
    doubt = Doubt()
    doubt.wait(usage(10), "7", there(9), NOW)
    later = NOW + timedelta(seconds=9)
    assert doubt.wait(usage(11), "8", there(9), later) == WRONG_SECONDS
    later += timedelta(seconds=9)
    assert doubt.wait(usage(11), "8", there(10), later) == WRONG_SECONDS
    assert doubt.wait(usage(11), "8", there(10), later + timedelta(seconds=10)) == 0.0


def test_what_was_right_in_between_is_doubted_from_the_start_again() -> None:
    doubt = Doubt()
    doubt.wait(usage(10), "7", there(9), NOW)
    assert doubt.wait(usage(10), "7", there(10), NOW + timedelta(seconds=1)) is None
    assert doubt.wait(usage(10), "7", there(9), NOW + timedelta(seconds=20)) == WRONG_SECONDS
