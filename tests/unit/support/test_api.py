"""The tests' own client of the API server."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support.api import Api, Refused
from support.objects import a_link

UNCOUNTED = 'Operation cannot be fulfilled on resourcequotas "q": the object has been modified'
TAKEN = 'tvoxlinks.mcs.tvox.io "acme" already exists'


class Server:
    """Answers each request with the next of these messages of a conflict, and then with what was sent."""

    def __init__(self, *messages: str) -> None:
        self.messages = list(messages)
        self.configuration = SimpleNamespace(host="http://api")

    def update_params_for_auth(self, *_: Any) -> None: ...

    def call_api(self, *_: Any, body: Any, **__: Any) -> Any:
        if not self.messages:
            return SimpleNamespace(status=201, read=lambda: json.dumps(body).encode())
        answer = {"reason": "Conflict", "message": self.messages.pop(0)}
        return SimpleNamespace(status=409, read=lambda: json.dumps(answer).encode())


def client(server: Server) -> Api:
    api = object.__new__(Api)
    api.kubeconfig, api.namespace = Path("nowhere"), "demo"
    vars(api)["_client"] = server
    return api


def test_a_create_that_a_quota_could_not_count_is_asked_for_again() -> None:
    assert client(Server(UNCOUNTED, UNCOUNTED)).create(a_link("acme")) == a_link("acme")


def test_any_other_conflict_is_the_tests_to_see() -> None:
    with pytest.raises(Refused, match="already exists"):
        client(Server(TAKEN)).create(a_link("acme"))


class Watches:
    """Answers watches that want initial events with the first status, and all others with the second."""

    def __init__(self, initial: int, plain: int) -> None:
        self.initial, self.plain, self.asked = initial, plain, 0
        self.configuration = SimpleNamespace(host="http://api")

    def call_api(self, _: str, url: str, **__: Any) -> Any:
        self.asked += 1
        status = self.initial if "sendInitialEvents" in url else self.plain
        return SimpleNamespace(status=status, response=SimpleNamespace(close=lambda: None))


@pytest.mark.parametrize(
    ("initial", "plain", "can", "asked"),
    [
        pytest.param(200, 200, True, 1, id="a server of today"),
        pytest.param(422, 200, True, 2, id="Kubernetes 1.30, without the feature gate WatchList"),
        pytest.param(422, 404, False, 2, id="the same, while it does not serve the kind yet"),
        pytest.param(404, 200, False, 1, id="a kind that is not served yet"),
    ],
)
def test_whether_a_kind_can_be_watched_is_known_of_old_servers_too(
    initial: int, plain: int, can: bool, asked: int
) -> None:
    server: Any = Watches(initial, plain)
    assert client(server).can_watch("tvoxlinks") is can
    assert server.asked == asked
