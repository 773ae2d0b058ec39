"""The client: one exception for whatever the server or the way to it does, and no write of who may not write."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from kubernetes.aio import client as kubernetes
from kubernetes.aio import config

from mcs_operator.kube.client import Api, ApiError
from mcs_operator.kube.errors import NoAnswerError, NotLeadingError
from mcs_operator.kube.resources import LEASES, LINKS, PODS, SECRETS

SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "demo"}}


class Wire:
    """In place of aiohttp: what is sent, and what comes back. ``answer`` may be an exception, or bytes."""

    def __init__(self, answer: Exception | bytes = b"{}", status: int = 200) -> None:
        self.sent: list[str] = []
        self.answer, self.status = answer, status
        self.configuration = SimpleNamespace(host="https://api")
        self.user_agent = ""

    async def update_params_for_auth(self, *_: Any) -> None:
        if isinstance(self.answer, config.ConfigException):
            raise self.answer

    async def call_api(self, method: str, url: str, **_: Any) -> Any:
        self.sent.append(f"{method} {url}")
        if isinstance(self.answer, Exception):
            raise self.answer
        return SimpleNamespace(response=Response(self.answer, self.status))


class Response:
    """An answer whose body comes line by line, or at once."""

    def __init__(self, body: bytes, status: int) -> None:
        self.status, self.headers, self._body = status, dict[str, str](), body
        self._lines = body.splitlines(keepends=True)
        self.content = self
        self.closed = False

    async def read(self) -> bytes:
        return self._body

    async def iter_any(self) -> AsyncIterator[bytes]:
        yield self._body

    async def readline(self) -> bytes:
        return self._lines.pop(0) if self._lines else b""

    def close(self) -> None:
        self.closed = True


def an_api(answer: Exception | bytes = b"{}", status: int = 200) -> tuple[Api, Wire]:
    wire = Wire(answer, status)
    api: Any = wire
    return Api(api), wire


TRANSPORT = [
    aiohttp.ServerDisconnectedError(),
    aiohttp.ClientPayloadError("Response payload is not completed"),
    aiohttp.ClientOSError(104, "Connection reset by peer"),
    aiohttp.ServerTimeoutError(),
    aiohttp.InvalidURL("x"),
    TimeoutError(),
    ConnectionRefusedError(111, "Connection refused"),
    OSError("no file descriptors are left"),
    ValueError("Chunk too big"),
    config.ConfigException("Token file exists but empty."),
]
NO_JSON = [b"", b"<html>502</html>", b"[]", b"null", b"7", b"\xff\xfe"]
CALLS: dict[str, Callable[[Api], Any]] = {
    "get": lambda api: api.get(LINKS, "demo", "acme"),
    "list": lambda api: api.list(LINKS),
    "create": lambda api: api.create(SECRETS, SECRET),
    "apply": lambda api: api.apply(SECRETS, SECRET),
    "merge": lambda api: api.merge(SECRETS, "demo", "s", {}),
    "strategic merge": lambda api: api.strategic_merge(PODS, "demo", "p", {}, sub="resize"),
    "served": lambda api: api.served("v1"),
    "version": lambda api: api.version(),
    "patch": lambda api: api.patch(SECRETS, "s", []),
    "replace": lambda api: api.replace(LEASES, SECRET),
    "delete": lambda api: api.delete(SECRETS, "demo", "s", uid="u"),
    "log": lambda api: api.log("demo", "p", "c", lines=1),
    "watch": lambda api: anext(api.watch(LINKS, since="1")),
}
WRITES = ["create", "apply", "merge", "strategic merge", "patch", "replace", "delete"]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("error", TRANSPORT, ids=lambda error: type(error).__name__)
async def test_whatever_the_way_to_the_server_does_is_one_kind_of_error(call: str, error: Exception) -> None:
    api, _ = an_api(error)
    with pytest.raises(ApiError) as told:
        await CALLS[call](api)
    assert isinstance(told.value, NoAnswerError)
    assert (told.value.status, told.value.reason) == (0, "NoAnswer")
    assert told.value.message not in ("", "the API server does not answer: ")


@pytest.mark.parametrize("call", ["get", "list", "create", "apply", "merge", "delete"])
@pytest.mark.parametrize("body", NO_JSON)
async def test_an_answer_that_is_no_object_is_no_answer(call: str, body: bytes) -> None:
    with pytest.raises(NoAnswerError):
        await CALLS[call](an_api(body)[0])


@pytest.mark.parametrize("line", [b"<html>\n", b"[]\n", b"null\n", b"{}\n", b'{"type": "ADDED", "object": []}\n'])
async def test_a_line_of_a_watch_that_is_no_event_ends_it_as_a_broken_one(line: bytes) -> None:
    with pytest.raises((NoAnswerError, StopAsyncIteration)):
        await anext(an_api(line)[0].watch(LINKS, since="1"))


async def test_a_refusal_is_told_with_the_servers_own_words() -> None:
    said = {"reason": "Forbidden", "message": "a policy says no"}
    with pytest.raises(ApiError) as told:
        await an_api(json.dumps(said).encode(), 403)[0].apply(SECRETS, SECRET)
    assert (told.value.status, told.value.reason, told.value.message) == (403, "Forbidden", "a policy says no")


@pytest.mark.parametrize("call", CALLS)
async def test_who_may_not_write_sends_no_write_and_reads_all_the_same(call: str) -> None:
    api, wire = an_api(b'{"type": "ADDED", "object": {}, "metadata": {"resourceVersion": "1"}}')
    api.may_write = lambda: False
    if call in WRITES:
        with pytest.raises(NotLeadingError):
            await CALLS[call](api)
    else:
        await CALLS[call](api)
    assert len(wire.sent) == (call not in WRITES)


async def test_a_write_that_waits_for_its_turn_is_not_sent_once_the_lease_is_lost() -> None:
    """It is asked in the last moment, and not when the request was made."""
    api, wire = an_api()
    api._slots = asyncio.Semaphore(0)
    write = asyncio.create_task(api.create(SECRETS, SECRET))
    await asyncio.sleep(0)
    api.may_write = lambda: False
    api._slots.release()
    with pytest.raises(NotLeadingError):
        await write
    assert wire.sent == []


async def test_what_the_server_serves_is_asked_by_discovery_and_counted_as_such() -> None:
    said = {"resources": [{"name": "pods"}, {"name": "pods/resize"}]}
    api, wire = an_api(json.dumps(said).encode())
    assert await api.served("v1") == {"pods", "pods/resize"}
    assert wire.sent == ["GET https://api/api/v1"]
    assert 'method="GET",resource="discovery",code="200"} 1' in api.requests.text()


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ({"major": "1", "minor": "34"}, (1, 34)),
        ({"major": "1", "minor": "33+"}, (1, 33)),
        ({"major": "1", "minor": ""}, (1, 0)),
        ({"minor": None}, (0, 0)),
    ],
)
async def test_the_servers_version_is_two_numbers(said: Any, version: tuple[int, int]) -> None:
    api, wire = an_api(json.dumps(said).encode())
    assert await api.version() == version
    assert wire.sent == ["GET https://api/version"]


async def test_a_patch_of_a_subresource_goes_there() -> None:
    api, wire = an_api()
    await api.strategic_merge(PODS, "demo", "mcs-0", {}, sub="resize")
    await api.strategic_merge(PODS, "demo", "mcs-0", {})
    pod = "PATCH https://api/api/v1/namespaces/demo/pods/mcs-0"
    assert wire.sent == [f"{pod}/resize?fieldManager=mcs-operator", f"{pod}?fieldManager=mcs-operator"]


async def test_a_client_beside_another_one_waits_for_none_of_its_requests() -> None:
    """A thousand writes on a slow server: the Lease is renewed all the same, and counted where all are."""
    first = Api(kubernetes.ApiClient(kubernetes.Configuration(host="http://127.0.0.1:1")), in_flight=1)
    second = await first.beside()
    try:
        await first._slots.acquire()
        with pytest.raises(NoAnswerError):
            await asyncio.wait_for(second.get(LEASES, "operators", "mcs-operator"), 5)
        assert first._client.rest_client is not second._client.rest_client
        assert 'resource="leases",code="error"} 1' in first.requests.text()
    finally:
        await second.close()
        await first.close()


async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()
    writer.close()


@pytest.fixture
async def rude() -> AsyncIterator[Api]:
    """A server that hangs up on every request, for real."""
    server = await asyncio.start_server(hangs_up, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    api = Api(kubernetes.ApiClient(kubernetes.Configuration(host=f"http://{host}:{port}")))
    yield api
    await api.close()
    server.close()


@pytest.mark.parametrize("call", CALLS)
async def test_a_server_that_hangs_up_has_not_answered(rude: Api, call: str) -> None:
    with pytest.raises(NoAnswerError):
        await CALLS[call](rude)
