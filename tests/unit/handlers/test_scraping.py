"""The operator's ports for Prometheus and the kubelet: who is told what."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from mcs_operator.certwatcher import server_context
from mcs_operator.handlers import scraping
from mcs_operator.handlers.probes import Probes
from mcs_operator.handlers.scraping import Scraping, build_app
from mcs_operator.kube.client import ApiError
from mcs_operator.pki.webhook import issue
from support.ports import free_port


def told() -> Iterator[str]:
    yield "mcs_one 1\n"
    yield "mcs_two 2\n"


async def allows(token: str) -> bool | None:
    if token == "unknown":
        raise ApiError(503, "ServiceUnavailable", "")
    return {"good": True, "other": False}.get(token)


async def answer(headers: dict[str, str], path: str = "/metrics", method: str = "GET") -> tuple[int, str]:
    async with (
        TestServer(build_app(told, allows)) as server,
        ClientSession() as session,
        session.request(method, server.make_url(path), headers=headers) as response,
    ):
        return response.status, await response.text()


async def test_whoever_may_is_told() -> None:
    assert await answer({"Authorization": "Bearer good"}) == (200, "mcs_one 1\nmcs_two 2\n")


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("", 401),
        ("Bearer", 401),
        ("Bearer ", 401),
        ("Bearer forged", 401),
        ("Basic good", 401),
        ("good", 401),
        ("Bearer other", 403),
        ("Bearer unknown", 503),
    ],
)
async def test_nobody_else_is(header: str, status: int) -> None:
    given, text = await answer({"Authorization": header})
    assert given == status
    assert "mcs_" not in text


async def test_a_token_of_bytes_that_are_no_text_is_nobodys_and_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    async with TestServer(build_app(told, allows)) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\nConnection: close\r\n\r\n")
        assert b" 401 " in await reader.read()
        writer.close()
    assert caplog.text == ""


async def test_the_port_for_metrics_has_nothing_else() -> None:
    assert (await answer({"Authorization": "Bearer good"}, "/healthz"))[0] == 404
    assert (await answer({"Authorization": "Bearer good"}, method="POST"))[0] == 405


async def test_the_port_for_probes_has_no_metrics_and_says_what_is_wrong() -> None:
    wrong = ""
    probes = Probes(free_port(), lambda: "", lambda: wrong)
    await probes.start()
    assert probes._listener
    url = f"http://127.0.0.1:{probes._listener.port}"
    try:
        async with ClientSession() as session:

            async def asked(path: str) -> tuple[int, str]:
                async with session.get(url + path) as response:
                    return response.status, await response.text()

            assert await asked("/readyz") == (200, "ok")
            wrong = "the world is not listed yet"
            assert await asked("/readyz") == (503, wrong)
            assert await asked("/healthz") == (200, "ok")
            assert (await asked("/metrics"))[0] == 404
    finally:
        await probes.stop()


async def test_without_a_certificate_it_serves_with_one_of_its_own_making_and_takes_up_the_one_that_comes(
    tmp_path: Path,
) -> None:
    served = Scraping(0, tmp_path, told)
    served._context.newest = scraping._of_our_own_making()
    names = issue(["x.mcs-system.svc"], datetime.now(UTC))

    async def ask(trust: ssl.SSLContext) -> int:
        site = TestServer(build_app(told, allows))
        await site.start_server(ssl=served._context)
        try:
            async with ClientSession() as session:
                headers = {"Authorization": "Bearer good"}
                async with session.get(
                    f"https://127.0.0.1:{site.port}/metrics",
                    ssl=trust,
                    headers=headers,
                    server_hostname="x.mcs-system.svc",
                ) as response:
                    return response.status
        finally:
            await site.close()

    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    assert await ask(anyone) == 200
    (tmp_path / "tls.crt").write_text(names.serving.cert_pem)
    (tmp_path / "tls.key").write_text(names.serving.key_pem)
    served._context.newest = server_context(tmp_path / "tls.crt", tmp_path / "tls.key")
    assert await ask(ssl.create_default_context(cadata=names.trusted)) == 200


async def test_nothing_is_served_where_no_port_is_given() -> None:
    await Probes(0, lambda: "", lambda: "").start()
    assert isinstance(build_app(told, allows), web.Application)
