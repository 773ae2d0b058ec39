"""Who may read the metrics: the API server's word, asked for once a minute."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mcs_operator.kube.client import ApiError
from mcs_operator.kube.resources import TOKEN_REVIEWS
from mcs_operator.kube.reviews import AT_ONCE, MOST_REMEMBERED, Reviews

Object = dict[str, Any]
PROMETHEUS = {"username": "system:serviceaccount:monitoring:prometheus", "uid": "u", "groups": ["a"], "extra": {}}


class Server:
    """An API server that knows the token `good`, whose owner may, and `other`, whose owner may not."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked: list[Object] = []
        self.down = False
        self.at_once = self.most_at_once = 0
        self.answers: Any = None

    async def review(self, resource: Any, spec: Object) -> Any:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if self.down:
            raise ApiError(503, "ServiceUnavailable", "")
        self.asked.append(spec)
        if self.answers is not None:
            return self.answers
        if resource is TOKEN_REVIEWS:
            user = {"good": PROMETHEUS, "other": {"username": "somebody"}}.get(spec["token"])
            return {"status": {"authenticated": user is not None, "user": user}}
        return {"status": {"allowed": spec["user"] == PROMETHEUS["username"]}}

    def reviews(self) -> Reviews:
        return Reviews(self, "/metrics", lambda: self.now)  # type: ignore[arg-type]


async def test_an_account_with_the_right_may_one_without_it_may_not_and_no_account_is_none() -> None:
    server = Server()
    reviews = server.reviews()
    assert [await reviews.allows(token) for token in ("good", "other", "forged")] == [True, False, None]
    assert server.asked[1] == {
        "user": PROMETHEUS["username"],
        "uid": "u",
        "groups": ["a"],
        "nonResourceAttributes": {"path": "/metrics", "verb": "get"},
    }


async def test_an_answer_holds_for_a_minute_and_a_refusal_for_ten_seconds() -> None:
    server = Server()
    reviews = server.reviews()
    for _ in range(3):
        await reviews.allows("good")
        await reviews.allows("forged")
    assert len(server.asked) == 3
    server.now = 10.5
    await reviews.allows("good")
    await reviews.allows("forged")
    assert len(server.asked) == 4
    server.now = 60.5
    await reviews.allows("good")
    assert len(server.asked) == 6


async def test_an_account_that_lost_its_right_is_refused_a_minute_later() -> None:
    server = Server()
    reviews = server.reviews()
    assert await reviews.allows("good")
    server.answers = {"status": {"authenticated": False}}
    server.now = 60.5
    assert await reviews.allows("good") is None


@pytest.mark.parametrize("token", ["", "\udcff", "ü", "x" * 8193])
async def test_what_is_no_token_is_not_asked_about(token: str) -> None:
    server = Server()
    assert await server.reviews().allows(token) is None
    assert server.asked == []


@pytest.mark.parametrize("answer", [{}, {"status": None}, {"status": []}, {"status": {"authenticated": "yes"}}])
async def test_an_answer_that_does_not_say_yes_is_no(answer: Object) -> None:
    server = Server()
    server.answers = answer
    assert await server.reviews().allows("good") is None


async def test_a_server_that_does_not_answer_is_no_verdict_and_is_asked_again() -> None:
    server = Server()
    server.down = True
    reviews = server.reviews()
    with pytest.raises(ApiError):
        await reviews.allows("good")
    server.down = False
    assert await reviews.allows("good")


async def test_a_thousand_forged_tokens_are_asked_about_a_few_at_a_time_and_not_all_remembered() -> None:
    server = Server()
    reviews = server.reviews()
    await asyncio.gather(*(reviews.allows(f"forged-{number}") for number in range(1000)))
    assert server.most_at_once <= AT_ONCE
    assert len(reviews._known) == MOST_REMEMBERED
    assert not any(b"forged" in key for key in reviews._known), "no token is kept"


async def test_many_who_ask_with_the_same_token_cost_one_question() -> None:
    server = Server()
    reviews = server.reviews()
    assert all(await asyncio.gather(*(reviews.allows("good") for _ in range(50))))
    assert len(server.asked) <= 2 * AT_ONCE
