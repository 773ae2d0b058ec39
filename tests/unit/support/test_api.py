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
