"""What docs/appliance-contract.md asks of any image, asked of one that runs; the sets are written, and its answers are
read, by the operator's own code."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contract.given import HASH, MEET, Given, a_certificate, a_link, a_login, a_user
from contract.subject import Subject, a_solver
from mcs_operator.api import ServiceState
from mcs_operator.contract.appliance import Connections, Usage
from mcs_operator.contract.digest import digest
from mcs_operator.contract.linkstate import MAX_MESSAGE, MediaState
from mcs_operator.contract.shards import ServedCommunity
from support.lab import eventually

A, B, C = (f"tvox-{number}.example.com" for number in (17, 18, 19))
AT_ONCE = 3.0
"""Seconds: two by the contract, and one for a busy machine."""

# A test's own time: the first one to ask for the subject waits until its programs are built, where nothing is yet.
pytestmark = pytest.mark.timeout(120, func_only=True)


def tvox(subject: Subject, host: str) -> str | None:
    """Which TVox answers for this host; the first one has a certificate."""
    reply = subject.get(host, tls=host == A)
    found: str | None = reply.json()["tvox"] if reply.status == 200 else None
    return found


def at(subject: Subject, number: int) -> str:
    return f"{subject.place.tvoxes}.{number}"


# ----------------------------------------------------------------------------------------------- its beginning and end


def test_it_ends_when_told_to_and_without_a_set_it_is_healthy_and_not_ready(subject: Subject) -> None:
    begun = time.monotonic()
    assert subject.stop() == 0
    assert time.monotonic() - begun < 10
    Given(subject.root / "etc").swap({})
    subject.start()
    assert [subject.ask(path).status for path in ("/healthz", "/readyz")] == [200, 503]


def test_a_restart_takes_what_is_mounted(subject: Subject, given: Given) -> None:
    config = subject.report().config
    subject.stop()
    subject.start()
    assert config is not None
    subject.takes(config)
    eventually("its TVox answers", lambda: tvox(subject, B) == at(subject, 18) or None)


# -------------------------------------------------------------------------------------------------------- taking a set


def test_a_set_is_in_force_within_two_seconds_and_said_to_be(subject: Subject, given: Given) -> None:
    given.links.append(a_link(subject, 19))
    given.users.append(a_user("bob"))
    subject.takes(given.write(), AT_ONCE)
    assert (subject.report().links, subject.report().users) == (3, 3)
    assert subject.ask("/readyz").status == 200


def test_what_it_says_is_understood_as_it_was_said(subject: Subject, given: Given) -> None:
    """The agent keeps what is as agreed and drops the rest without a word: here nothing is dropped."""
    given.certificates.append(replace(a_certificate(B), key=a_certificate(A).key))
    given.links[1] = replace(given.links[1], service_state=ServiceState.OUT_OF_SERVICE)
    subject.takes(given.write())
    answer = subject.ask("/connections")
    Connections.model_validate_json(answer.body)  # its schema is published
    raw, understood = answer.json(), subject.report()
    for name in MediaState.model_fields:
        if raw.get(name) is not None:
            assert as_said(getattr(understood, name)) == as_said(raw[name]), name
    assert len(json.dumps(raw)) <= 65_536 and len(raw.get("error") or "") <= 2000
    assert raw["connections"] >= 0 and raw["config"] == understood.config and not understood.draining


def as_said(value: Any) -> Any:
    """Numbers of links are words in JSON, portals say more than their logins, and long words are cut."""
    if isinstance(value, str):
        return value[:MAX_MESSAGE]
    if isinstance(value, list):
        return [as_said(entry.model_dump() if hasattr(entry, "model_dump") else entry) for entry in value]
    if isinstance(value, dict):
        if set(value) == {"logins"}:
            return value["logins"]
        return {str(name): as_said(entry) for name, entry in value.items()}
    return value


def test_what_nobody_knows_yet_is_ignored(subject: Subject, given: Given) -> None:
    files = {name: with_more(text) for name, text in given.files().items()}
    files["tomorrow-00.json"] = json.dumps({"version": 1, "more": [1, 2, 3]})
    subject.takes(given.mount(files))
    assert tvox(subject, A) == at(subject, 17)
    assert not subject.report().notTaken


def with_more(text: str) -> str:
    """With fields of tomorrow in the file, and in each of its entries."""
    found = json.loads(text)
    for value in list(found.values()):
        for entry in value if isinstance(value, list) else ():
            entry["tomorrow"] = {"a": [None]}
    return json.dumps(found | {"tomorrow": 1})


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param({"links.json": '{"version":1,"links":[]}'}, id="a file that is not what is vouched for"),
        pytest.param({"manifest.json": "{"}, id="no manifest"),
        pytest.param({"manifest.json": '{"version":1,"files":{"links.json":7}}'}, id="a manifest of another kind"),
        pytest.param({"manifest.json": "[" * 100_000}, id="a manifest without an end"),
        pytest.param({"manifest.json": '{"version":1,"files":{"instance.json":"00"}}'}, id="a manifest of half a set"),
    ],
)
def test_a_set_that_is_none_leaves_the_one_of_before_and_the_next_one_is_taken(
    subject: Subject, given: Given, broken: dict[str, str]
) -> None:
    before = subject.report().config
    given.mount(given.files() | {"users-15.json": '{"version":1,"users":[]}'}, **broken)
    time.sleep(2.5)
    assert subject.report().config == before
    assert (subject.ask("/healthz").status, tvox(subject, A)) == (200, at(subject, 17))
    subject.takes(given.write(), AT_ONCE)


def test_a_file_that_is_vouched_for_and_is_none_keeps_the_set_of_before(subject: Subject, given: Given) -> None:
    before = subject.report().config
    for content in ('{"version":2,"links":[]}', "[]", "nothing", '{"version":1,"links":{"a":1}}'):
        given.mount(given.files() | {"links.json": content})
        time.sleep(1.5)
        assert subject.report().config == before, content
        assert tvox(subject, A) == at(subject, 17)
    subject.takes(given.write(), AT_ONCE)


def test_a_broken_entry_is_left_out_alone_and_named(subject: Subject, given: Given) -> None:
    files = given.files()
    links = json.loads(files["links.json"])
    files["links.json"] = json.dumps(links | {"links": [*links["links"], {"name": "tvox-19", "number": "many"}]})
    subject.takes(given.mount(files))
    assert [tvox(subject, host) for host in (A, B)] == [at(subject, 17), at(subject, 18)]
    assert "tvox-19" in (subject.report().error or "")
    assert (subject.ask("/readyz").status, subject.ask("/healthz").status) == (200, 200)


def test_a_certificate_whose_key_is_anothers_is_refused_and_the_good_one_stays(subject: Subject, given: Given) -> None:
    good = given.certificates[0]
    eventually("it is shown", lambda: subject.shown(A) == good.chain or None)
    given.certificates[0] = replace(a_certificate(A), key=a_certificate(A).key)
    subject.takes(given.write())
    assert subject.shown(A) == good.chain
    assert A in [refused.domain for refused in subject.report().refused] or A in (subject.report().error or "")
    given.certificates[0] = a_certificate(A)
    subject.takes(given.write())
    eventually("the new one is shown", lambda: subject.shown(A) == given.certificates[0].chain or None)


# ----------------------------------------------------------------------------------------------------------------- web


def test_each_host_leads_to_its_own_tvox_and_says_who_asked(subject: Subject, given: Given) -> None:
    assert [tvox(subject, host) for host in (B, "TVOX-18.Example.COM")] == [at(subject, 18)] * 2
    lies = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "gopher"}
    for tls, host in ((True, A), (False, B)):
        headers = subject.get(host, tls=tls, **lies).json()["headers"]
        assert headers["x-forwarded-proto"] == ("https" if tls else "http")
        assert "6.6.6.6" not in headers["x-forwarded-for"] and headers["host"] == host


def test_the_instance_has_a_page_of_its_own(subject: Subject, given: Given) -> None:
    assert subject.get("mcs.example.com").status == 200


@pytest.mark.parametrize(
    ("host", "path", "tls", "sni", "status"),
    [
        pytest.param("nobody.example.com", "/", False, "", {404}, id="a host that is nobody's"),
        pytest.param(f"{A}, {B}", "/", False, "", {400}, id="two hosts"),
        pytest.param(B, "/", True, A, {421}, id="another host than the handshake named"),
        pytest.param(C, "/", False, "", {503}, id="a tunnel that is down"),
        pytest.param(A, "/", False, "", {301, 302, 307, 308}, id="without encryption where there is a certificate"),
        pytest.param(MEET, "/", False, "", {301, 302, 307, 308, 403, 421}, id="a portal without encryption"),
    ],
)
def test_what_leads_nowhere_is_refused(
    subject: Subject, given: Given, host: str, path: str, tls: bool, sni: str, status: set[int]
) -> None:
    given.links.append(a_link(subject, 19))
    subject.takes(given.write())
    begun = time.monotonic()
    assert subject.get(host, path, tls, sni).status in status
    assert time.monotonic() - begun < 3.5


def test_a_name_without_a_certificate_is_shown_none(subject: Subject, given: Given) -> None:
    assert subject.shown("nobody.example.com") == ""


def test_whoever_confirms_an_account_answers_challenges_at_port_80_and_nothing_else_there(
    subject: Subject, given: Given
) -> None:
    given.instance["acmeThumbprint"] = thumbprint = "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
    given.links[1] = replace(given.links[1], enabled=False)
    subject.takes(given.write())
    if subject.report().acmeThumbprint is None:
        return  # it answers none, says so, and nothing is ordered for it
    assert subject.report().acmeThumbprint == thumbprint
    path = "/.well-known/acme-challenge/"
    for host in (A, B, "mcs.example.com"):
        assert subject.get(host, f"{path}a-_9").body == f"a-_9.{thumbprint}"
    for token in ("", "a.b", "a%0a", "x" * 129):
        assert thumbprint not in subject.get(A, path + token).body
    del given.instance["acmeThumbprint"]
    subject.takes(given.write())
    assert subject.report().acmeThumbprint == ""
    assert thumbprint not in subject.get(A, f"{path}a").body


def test_whoever_confirms_solvers_passes_challenges_of_known_names_on_to_them_and_nothing_else_back(
    subject: Subject, given: Given
) -> None:
    path, says = "/.well-known/acme-challenge/a-_9", "a-_9.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI"
    given.links[0] = replace(given.links[0], enabled=False)
    with a_solver(subject.place, 19, A, path, says) as (host, port):
        given.instance["http01Solver"] = {"host": host, "port": port}
        subject.takes(given.write())
        if subject.report().http01Solver is None:
            return  # it passes none on, and says so
        assert subject.report().http01Solver == f"{host}:{port}"
        eventually("the solver answers", lambda: subject.get(A, path).body == says or None)
        assert [subject.get(name, path).status for name in (B, MEET, "mcs.example.com")] == [404] * 3
        assert subject.get("nobody.example.com", path).status == 404
        for other in ("", "a.b", "a%0a", "x" * 129):
            assert says not in subject.get(A, path.removesuffix("a-_9") + other).body
    with a_solver(subject.place, 19, A, path, "what else listens here") as (host, port):
        given.instance["http01Solver"] = {"host": host, "port": port}
        subject.takes(given.write())
        eventually("what it says is not passed on", lambda: subject.get(A, path).status == 404 or None)
        assert "what else" not in subject.get(A, path).body
    assert subject.get(A, path).status == 503
    del given.instance["http01Solver"]
    subject.takes(given.write())
    assert subject.report().http01Solver == ""


def test_who_is_disabled_is_refused_and_nobody_else(subject: Subject, given: Given) -> None:
    given.links[1] = replace(given.links[1], enabled=False)
    subject.takes(given.write())
    assert (subject.get(B).status, tvox(subject, A)) == (503, at(subject, 17))
    given.links[1] = replace(given.links[1], enabled=True)
    given.communities[1] = ServedCommunity("globex", "Globex", False)
    subject.takes(given.write())
    assert subject.get(B).status == 503


# ------------------------------------------------------------------------------------------------ what is open goes on


@contextmanager
def held(subject: Subject, host: str) -> Iterator[Any]:
    """An open answer of this host's TVox, and a question whether it still flows."""
    response = subject.stream(host)
    assert response.status == 200
    beats, over = [time.monotonic()], threading.Event()

    def read() -> None:
        while not over.is_set() and response.read(5):
            beats.append(time.monotonic())

    thread = threading.Thread(target=read, daemon=True)
    thread.start()

    def flows() -> bool:
        before = len(beats)
        time.sleep(0.5)
        return len(beats) > before

    with closing(response):
        yield flows
        over.set()


def test_what_is_open_goes_on_over_twenty_changes_of_others(subject: Subject, given: Given) -> None:
    with held(subject, B) as flows:
        for number in range(5):
            for change in (
                lambda: given.links.append(a_link(subject, 19)),
                lambda: given.certificates.append(a_certificate(C)),
                lambda n=number: given.users.extend(a_user(f"user-{n}-{m}") for m in range(50)),
                lambda: (given.links.pop(), given.certificates.pop()),
            ):
                change()
                subject.takes(given.write(), AT_ONCE)
        assert flows()
    given.users = given.users[:2]


def test_who_is_out_of_service_takes_nothing_new_and_what_is_open_goes_on(subject: Subject, given: Given) -> None:
    with held(subject, B) as flows:
        given.links[1] = replace(given.links[1], service_state=ServiceState.OUT_OF_SERVICE)
        subject.takes(given.write())
        if subject.report().outOfService is None:
            pytest.skip("this image has no such state, and says so by saying nothing")
        refused = subject.get(B)
        assert (refused.status, "retry-after" in refused.headers) == (503, True)
        assert flows()
        assert subject.report().outOfService == {18: 1}


def test_a_drain_takes_nothing_new_keeps_what_is_open_and_ends(subject: Subject, given: Given) -> None:
    with held(subject, B) as flows:
        soon = f"{datetime.now(UTC) + timedelta(minutes=5):%Y-%m-%dT%H:%M:%SZ}"
        for until in ({"Drain-Until": soon}, {}):
            assert json.loads(subject.ask("/drain", "POST", **until).body)["draining"] is True
        assert (subject.report().draining, subject.ask("/readyz").status) == (True, 503)
        refused = subject.get(B)
        assert (refused.status, "retry-after" in refused.headers) == (503, True)
        assert flows() and subject.report().connections >= 1
        assert subject.ask("/healthz").status == 200
    eventually("nobody is left", lambda: subject.report().connections == 0 or None)
    assert subject.ask("/drain", "DELETE").status == 200
    eventually("it serves again", lambda: tvox(subject, B) == at(subject, 18) or None)
    assert subject.ask("/readyz").status == 200


# ---------------------------------------------------------------------------------------------------------- neighbours


def test_a_neighbour_learns_nothing_and_gives_no_order(subject: Subject, given: Given) -> None:
    assert subject.ask_as_neighbour("/healthz").status == 200
    for path, method in (("/connections", "GET"), ("/drain", "POST"), ("/drain", "DELETE"), ("/usage", "GET")):
        reply = subject.ask_as_neighbour(path, method)
        assert reply.status in (403, 404), path
        assert "acme" not in reply.body
    assert not subject.report().draining


# ------------------------------------------------------------------------------------------------------------- portals


@pytest.fixture
def portal(subject: Subject, given: Given) -> Given:
    """Where the image keeps contract 2."""
    if subject.report().contract < 2:
        pytest.skip("this image keeps contract 1: it has no portals")
    eventually("the portal is served", lambda: "acme" in subject.report().portals or None, 30)
    return given


def test_a_portal_is_served_by_https_alone_and_said_to_be(subject: Subject, portal: Given) -> None:
    assert subject.report().portals == {"acme": 1}
    assert subject.get(MEET, tls=True).status == 200 or subject.get(MEET, "/api/me", tls=True).status == 401
    assert subject.shown(MEET) == portal.certificates[1].chain
    portal.users.append(a_user("bob"))
    portal.logins.append(a_login("bob"))
    subject.takes(portal.write())
    eventually("bob can log in", lambda: subject.report().portals == {"acme": 2} or None)


def test_a_portal_of_who_is_disabled_is_gone_and_none_is_served_without_a_certificate(
    subject: Subject, portal: Given
) -> None:
    portal.communities[0] = replace(portal.communities[0], enabled=False)
    subject.takes(portal.write())
    assert subject.report().portals == {}
    assert subject.get(MEET, tls=True).status == 503
    portal.communities[0] = replace(portal.communities[0], enabled=True)
    portal.certificates = portal.certificates[:1]
    subject.takes(portal.write())
    assert subject.shown(MEET) == "" and subject.report().portals == {}


def test_what_a_customer_uses_is_told_as_agreed(subject: Subject, portal: Given) -> None:
    subject.takes(portal.write())
    answer = subject.ask("/usage")
    assert answer.status in (200, 404), "404 of an image that has no such thing"
    if answer.status == 200:
        used = Usage.model_validate_json(answer.body)
        assert set(used.communities) <= {"acme"} and min(used.refused.values(), default=0) >= 0


def test_no_hash_and_no_user_is_in_what_strangers_and_neighbours_see(subject: Subject, portal: Given) -> None:
    seen = [subject.get(MEET, path, tls=True).body for path in ("/", "/api/me", "/api/directory", "/logins-00.json")]
    seen += [subject.ask_as_neighbour(path).body for path in ("/connections", "/usage", "/readyz")]
    seen += [subject.ask("/connections").body, subject.ask("/usage").body]
    users = {"ada", "eve"}  # as whole words: a digest may well have "ada" in it
    assert not [body for body in seen if HASH in body or users & set(re.findall(r"[\w.-]+", body.lower()))]
    assert digest(HASH) not in "".join(seen)
