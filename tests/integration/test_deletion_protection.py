"""An MCSInstance with links up is not deleted by a slip of the hand; the API server itself sees to that."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.api import Api, Refused
from support.installed import deletion_protection
from support.objects import an_instance
from support.operator import Operator
from support.waiting import until

pytestmark = pytest.mark.integration


@pytest.fixture
def protected(api: Api, operator_process: Operator) -> Iterator[Api]:
    """An instance with two links up, as its status says; no operator runs, which would know better."""
    operator_process.stop()
    api.create(an_instance())
    up(api, 2)
    with deletion_protection(api):
        yield api


def up(api: Api, links: int) -> None:
    api.merge_status("MCSInstance", "mcs", {"links": {"accepted": 2, "up": links}})


def refused(api: Api) -> str:
    with pytest.raises(Refused) as refusal:
        api.delete("MCSInstance", "mcs")
    assert refusal.value.status == 403
    return refusal.value.message


def test_it_is_refused_with_what_to_do_until_that_is_done(protected: Api) -> None:
    message = refused(protected)
    assert "2 TVoxLinks are up, and deleting the MCSInstance ends every call" in message
    command = message[message.index("kubectl") :].split()
    protected.kubectl(*command[1:])
    protected.delete("MCSInstance", "mcs", wait=10)


def test_all_at_once_is_refused_too(protected: Api) -> None:
    with pytest.raises(Refused) as refusal:
        protected.delete_all("MCSInstance")
    assert "2 TVoxLinks are up" in refusal.value.message
    assert protected.get("MCSInstance", "mcs")


def test_what_allowed_the_one_before_does_not_allow_it(protected: Api) -> None:
    for value in ("true", "", "6a6f1a5c-0000-4000-8000-000000000000"):
        protected.annotate("MCSInstance", "mcs", allow_deletion=value)
        refused(protected)


def test_without_links_up_nobody_is_asked(protected: Api) -> None:
    up(protected, 0)
    protected.delete("MCSInstance", "mcs", wait=10)


def test_one_that_no_operator_has_seen_is_nobodys_loss(protected: Api) -> None:
    protected.merge_status("MCSInstance", "mcs", {"links": None})
    protected.delete("MCSInstance", "mcs", wait=10)


def test_where_nobody_knows_how_many_are_up_all_that_are_accepted_count(protected: Api) -> None:
    protected.merge_status("MCSInstance", "mcs", {"links": {"up": None}})
    assert "2 TVoxLinks are accepted, each of which may be up" in refused(protected)
    protected.merge_status("MCSInstance", "mcs", {"links": {"accepted": 0}})
    protected.delete("MCSInstance", "mcs", wait=10)


def test_it_goes_with_its_namespace(protected: Api) -> None:
    protected.delete("Namespace", protected.namespace)
    until("the instance is gone", lambda: protected.find("MCSInstance", "mcs") is None, 60)
