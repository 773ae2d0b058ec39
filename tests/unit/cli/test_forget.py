"""To forget a user: asked in the Secret that may name him, confirmed by an id, and taken away again."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest
from click.testing import CliRunner

from mcs_operator.api.erasure import MOST, Erasure, erasures_in
from mcs_operator.cli import forget as command
from mcs_operator.cli.access import Access, Cluster
from mcs_operator.cli.main import cli
from mcs_operator.kube.client import ApiError
from mcs_operator.kube.resources import COMMUNITIES, Resource
from mcs_operator.settings import LABEL_PASSWORDS
from support.objects import a_community

OTHER = f"bob:{'b' * 32}\n"


def a_secret(erase: str | None = None, label: str = "acme") -> dict[str, Any]:
    data = {".htpasswd": "eA=="} | ({} if erase is None else {".erase": base64.b64encode(erase.encode()).decode()})
    return {"metadata": {"name": "p", "labels": {LABEL_PASSWORDS: label}, "resourceVersion": "7"}, "data": data}


class Server:
    """A Community, its Secret, and an appliance that does what is asked, unless it is ``old``."""

    def __init__(self, secret: dict[str, Any] | None, conflicts: int = 0, old: bool = False, **spec: Any) -> None:
        sources = [{"secretRef": {"name": "p"}}]
        known = {"portalDomain": "meet.acme.test", "authentication": {"passwordsFrom": sources}}
        self.community = a_community(**known | spec)
        self.secret, self.conflicts, self.old = secret, conflicts, old
        self.asked: list[tuple[Erasure, ...]] = []

    async def get(self, resource: Resource, namespace: str, name: str) -> Any:
        if resource is not COMMUNITIES:
            return self.secret
        erased = [] if self.old or not self.secret else [one.id for one in erasures_in(self.secret)]
        return self.community | {"status": {"erased": erased} if erased else {}}

    async def create(self, resource: Resource, body: Any) -> Any:
        self._written(body | {"metadata": body["metadata"] | {"resourceVersion": "1"}})

    async def merge(self, resource: Resource, namespace: str, name: str, patch: Any) -> Any:
        assert self.secret is not None
        assert patch["metadata"] == {"resourceVersion": self.secret["metadata"]["resourceVersion"]}
        assert set(patch["data"]) == {".erase"}
        merged = self.secret["data"] | patch["data"]
        self._written(self.secret | {"data": {key: value for key, value in merged.items() if value is not None}})

    def _written(self, body: Any) -> None:
        if self.conflicts:
            self.conflicts -= 1
            raise ApiError(409, "Conflict", "the object has been modified")
        self.secret = body
        self.asked.append(erasures_in(body))


def forget(server: Server, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    def run(self: Access, work: Any) -> Any:
        return asyncio.run(work(Cluster(server, "demo")))  # type: ignore[arg-type]

    monkeypatch.setattr(Access, "run", run)
    monkeypatch.setattr(command, "LOOK_EVERY", 0.01)
    return CliRunner().invoke(cli, ["forget", "acme/ada", *arguments])


@pytest.mark.parametrize("conflicts", [0, 1, 4])
@pytest.mark.parametrize("secret", [None, a_secret(), a_secret(OTHER), a_secret(f"ada:{'c' * 32}\n")])
def test_the_request_is_written_confirmed_and_taken_away_and_all_else_is_left(
    secret: Any, conflicts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(secret, conflicts)
    others = [one for one in erasures_in(secret or {}) if one.name != "ada"]
    done = forget(server, monkeypatch, "--yes")
    assert done.exit_code == 0, done.output
    wanted, left = server.asked
    assert [one.name for one in wanted] == [*(one.name for one in others), "ada"]
    assert list(left) == others
    assert server.secret is not None and server.secret["data"].get(".htpasswd") == ("eA==" if secret else None)
    assert server.secret["metadata"]["labels"] == {LABEL_PASSWORDS: "acme"}


def test_another_id_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = set()
    for _ in range(3):
        server = Server(a_secret())
        forget(server, monkeypatch, "--yes")
        ids |= {one.id for one in server.asked[0]}
    assert len(ids) == 3


def test_an_appliance_that_does_not_confirm_is_told_and_the_request_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(a_secret(), old=True)
    done = forget(server, monkeypatch, "--yes", "--timeout", "0")
    assert done.exit_code == 1
    assert "not confirmed after 0 s, and asked for still" in done.output
    assert server.secret is not None and [one.name for one in erasures_in(server.secret)] == ["ada"]


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (Server(a_secret(), portalDomain=None), "has no portal that is served"),
        (Server(a_secret(), enabled=False), "has no portal that is served"),
        (Server(a_secret(), authentication={}), "names no Secret for passwords"),
        (Server(a_secret(label="globex")), "is not believed"),
        (Server(a_secret("".join(f"u{n}:{n:032x}\n" for n in range(MOST)))), "requests are waiting already"),
    ],
)
def test_what_would_not_be_done_is_refused_and_nothing_is_written(
    server: Server, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = forget(server, monkeypatch, "--yes")
    assert done.exit_code == 1
    assert words in done.output
    assert server.asked == []


def test_it_asks_first_and_no_is_no(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(a_secret())
    assert forget(server, monkeypatch).exit_code == 1
    assert server.asked == []


@pytest.mark.parametrize("who", ["acme", "/ada", "acme/", "acme/Ada", "acme/a/b"])
def test_who_is_meant_is_a_community_and_a_user(who: str) -> None:
    assert CliRunner().invoke(cli, ["forget", "--yes", who]).exit_code == 2


def test_where_somebody_else_always_is_quicker_it_is_given_up() -> None:
    with pytest.raises(ApiError):
        asyncio.run(command.put(Cluster(Server(a_secret(), 5), "demo"), "acme", "p", "ada", "a" * 32))  # type: ignore[arg-type]
