"""HTTP-01 at port 80 of the real appliance: what a server of certificates asks for is answered, whatever else is."""

from __future__ import annotations

import pytest

from unit.images.test_appliance import (
    DOMAIN,
    A,
    Running,
    able,  # noqa: F401 - left out where HAProxy is missing
    eventually,
    idle,  # noqa: F401 - a fixture
    link,
    served,  # noqa: F401 - a fixture
    serving,  # noqa: F401 - a fixture
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

THUMBPRINT = "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
PATH = "/.well-known/acme-challenge/"
TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"


async def with_account(running: Running, thumbprint: object = THUMBPRINT) -> Running:
    running.mounted.instance["acmeThumbprint"] = thumbprint
    await running.take()
    return running


@pytest.mark.parametrize("host", [A, DOMAIN, "not-yet.example.com", "meet.acme.example.com"])
async def test_every_name_answers_a_challenge_at_port_80_also_where_all_else_is_led_to_443(
    served: Running,  # noqa: F811
    host: str,
) -> None:
    await with_account(served)
    reply = await served.get(host, PATH + TOKEN)
    assert (reply.status, reply.body) == (200, f"{TOKEN}.{THUMBPRINT}")
    assert (await served.get(A, "/other")).status == 308


async def test_the_thumbprint_is_exchanged_and_taken_away_without_a_restart_and_confirmed(
    serving: Running,  # noqa: F811
) -> None:
    assert (await serving.report())["acmeThumbprint"] == ""
    assert (await serving.get(A, PATH + TOKEN)).status == 308
    process = await serving.pid()
    await with_account(serving)
    assert (await serving.report())["acmeThumbprint"] == THUMBPRINT
    another = "x" * 43
    await with_account(serving, another)
    assert (await serving.get(A, PATH + TOKEN)).body == f"{TOKEN}.{another}"
    del serving.mounted.instance["acmeThumbprint"]
    await serving.take()
    assert (await serving.get(A, PATH + TOKEN)).status == 308
    assert await serving.pid() == process


async def test_a_name_is_answered_for_while_the_site_drains_or_is_disabled(
    serving: Running,  # noqa: F811
) -> None:
    serving.mounted.links[0] = link(17, enabled=False)
    await with_account(serving)
    await serving.ask("/drain", "POST")
    assert (await serving.get(A, PATH + TOKEN)).body == f"{TOKEN}.{THUMBPRINT}"


@pytest.mark.parametrize("token", ["", "a.b", "a%20b", "x" * 129, "a/b", "%5B", "a?b=1"])
async def test_what_is_no_token_is_not_answered_as_one(
    served: Running,  # noqa: F811
    token: str,
) -> None:
    await with_account(served)
    reply = await served.get(A, PATH + token)
    assert reply.body == "a." + THUMBPRINT if token == "a?b=1" else reply.status == 308


@pytest.mark.parametrize("thumbprint", [None, 7, "", "x" * 42, "x" * 44, "x" * 42 + ";", "x" * 42 + "\n", ["x" * 43]])
async def test_what_is_no_thumbprint_is_none_and_stops_nobody(
    served: Running,  # noqa: F811
    thumbprint: object,
) -> None:
    await with_account(served, thumbprint)
    report = await served.report()
    assert (report["acmeThumbprint"], report["error"], report["links"]) == ("", None, 2)
    assert (await served.get(A, PATH + TOKEN)).status == 308


async def test_a_restart_in_the_middle_of_a_change_goes_on_answering(
    serving: Running,  # noqa: F811
) -> None:
    await with_account(serving)
    await serving.stop()
    serving.mounted.put("links.json", b"{}")  # not what the manifest says
    await serving.start()

    async def answered() -> bool:
        return (await serving.get(A, PATH + TOKEN)).status == 200

    await eventually(answered)
