"""Calling by the API: whose page rings, what each one hears, and what the gate is told."""

from __future__ import annotations

from typing import Any

import pytest

from unit.portal.running import House

pytestmark = pytest.mark.timeout(20)


async def test_two_users_call_each_other(house: House) -> None:
    ada, bob = await house.signed_in("ada"), await house.signed_in("bob")
    async with ada.socket() as adas, bob.socket() as bobs:
        made = await ada.post("/api/calls", {"users": ["bob"], "media": "video"})
        call = made.json
        assert made.status == 201
        assert call["members"] == [
            {"user": "ada", "displayName": "Ada", "state": "in"},
            {"user": "bob", "displayName": "Bob", "state": "ringing"},
        ]
        ring = {"id": call["id"], "from": {"user": "ada", "displayName": "Ada"}, "media": "video"}
        assert (await bobs.until("ring"))["call"] == ring
        assert (await bob.post(f"/api/calls/{call['id']}/accept")).json["members"][1]["state"] == "in"
        states = [(await adas.until("call"))["call"]["members"][1]["state"] for _ in range(2)]
        assert states == ["ringing", "in"]
        assert (await bob.post(f"/api/calls/{call['id']}/leave")).status == 200
        assert (await adas.until("call"))["call"]["ended"] is True
    await house.settled()
    assert {"community": "acme", "call": call["id"]} in house.gate.cuts
    assert (await ada.get(f"/api/calls/{call['id']}")).error == (404, "not-found")


async def test_all_pages_of_the_called_one_ring_and_stop_when_one_answers(house: House) -> None:
    ada, here, there = [await house.signed_in(user) for user in ("ada", "bob", "bob")]
    async with here.socket() as heres, there.socket() as theres:
        call = (await ada.post("/api/calls", {"users": ["bob"], "media": "audio"})).json["id"]
        await heres.until("ring"), await theres.until("ring")
        await here.post(f"/api/calls/{call}/accept")
        assert await theres.until("ring-ended") == {"type": "ring-ended", "call": call, "why": "accepted"}
        assert "ring-ended" not in [message["type"] for message in await heres.quiet()], "it knows"


async def test_a_page_that_opens_while_it_rings_rings(house: House) -> None:
    ada, bob = await house.signed_in("ada"), await house.signed_in("bob")
    call = (await ada.post("/api/calls", {"users": ["bob"], "media": "audio"})).json["id"]
    async with bob.socket() as ears:
        assert (await ears.until("ring"))["call"]["id"] == call
    async with ada.socket() as ears:
        assert (await ears.until("call"))["call"]["id"] == call


async def test_a_missed_call_is_found_later(house: House) -> None:
    ada, bob = await house.signed_in("ada"), await house.signed_in("bob")
    async with bob.socket() as ears:
        call = (await ada.post("/api/calls", {"users": ["bob"], "media": "video"})).json["id"]
        await house.passes(46)
        assert (await ears.until("ring-ended"))["why"] == "missed"
    await house.restart()
    found = (await bob.get("/api/missed")).json["missed"]
    assert [(entry["from"], entry["media"]) for entry in found] == [({"user": "ada", "displayName": "Ada"}, "video")]
    assert found[0]["at"] == "2027-01-15T08:00:46.000Z"
    assert (await ada.get("/api/missed")).json == {"missed": []}
    assert call not in str(found), "an id that is of no use any more"


async def test_fifty_missed_calls_are_kept(house: House) -> None:
    from portal import records
    from portal.records import MissedCall

    for number in range(60):
        entry = MissedCall(f"{number:032x}", "c", "ada", "audio", float(number))
        await house.portal.store.run(records.put_missed, "acme", "bob", entry)
    found = (await (await house.signed_in("bob")).get("/api/missed")).json["missed"]
    assert [int(entry["id"], 16) for entry in found] == list(range(59, 9, -1))


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"users": ["bob"], "media": "hologram"}, (400, "bad-request")),
        ({"users": ["bob"], "media": ["audio"]}, (400, "bad-request")),
        ({"users": "bob", "media": "audio"}, (400, "bad-request")),
        ({"users": [], "media": "audio"}, (400, "bad-request")),
        ({"users": ["ada"], "media": "audio"}, (404, "not-found")),
        ({"users": ["nobody"], "media": "audio"}, (404, "not-found")),
        ({"users": ["eve"], "media": "audio"}, (404, "not-found")),
        ({"users": [7, None, {}], "media": "audio"}, (404, "not-found")),
        ({"users": [f"u{number}" for number in range(8)], "media": "audio"}, (409, "full")),
        ({"media": "audio"}, (400, "bad-request")),
        ([], (400, "bad-request")),
    ],
)
async def test_what_is_no_call_is_refused(house: House, body: object, error: tuple[int, str]) -> None:
    assert (await (await house.signed_in("ada")).post("/api/calls", body)).error == error


async def test_the_same_user_named_twice_rings_once(house: House) -> None:
    made = await (await house.signed_in("ada")).post("/api/calls", {"users": ["bob", "bob"], "media": "audio"})
    assert [member["user"] for member in made.json["members"]] == ["ada", "bob"]


async def test_who_is_busy_is_not_rung(house: House) -> None:
    _, (_, bob) = await house.in_a_call("ada", "bob")
    cyd = await house.signed_in("cyd")
    async with bob.socket() as ears:
        assert (await cyd.post("/api/calls", {"users": ["bob"], "media": "audio"})).error == (409, "busy")
        assert "ring" not in [message["type"] for message in await ears.quiet()]
    assert len((await bob.get("/api/missed")).json["missed"]) == 1


async def test_a_third_one_is_invited(house: House) -> None:
    call, (ada, bob) = await house.in_a_call("ada", "bob")
    cyd = await house.signed_in("cyd")
    async with cyd.socket() as ears:
        assert (await bob.post(f"/api/calls/{call}/invite", {"user": "cyd"})).status == 200
        assert (await ears.until("ring"))["call"]["id"] == call
    await cyd.post(f"/api/calls/{call}/accept")
    assert [one["state"] for one in (await ada.get(f"/api/calls/{call}")).json["members"]] == ["in"] * 3


async def test_who_rings_too_often_waits(house: House) -> None:
    ada, bob = await house.signed_in("ada"), await house.signed_in("bob")
    for _ in range(10):
        call = (await ada.post("/api/calls", {"users": ["bob"], "media": "audio"})).json["id"]
        await bob.post(f"/api/calls/{call}/refuse")
    assert (await ada.post("/api/calls", {"users": ["bob"], "media": "audio"})).error == (429, "too-many")
    await house.passes(6)
    assert (await ada.post("/api/calls", {"users": ["bob"], "media": "audio"})).status == 201


async def test_while_draining_nothing_new_begins_and_what_is_there_goes_on(house: House) -> None:
    call, (ada, bob) = await house.in_a_call("ada", "bob")
    await house.connect(call, ada, bob)
    cyd = await house.signed_in("cyd")
    house.add("acme", "dan")
    ringing = (await cyd.post("/api/calls", {"users": ["dan"], "media": "audio"})).status
    house.mode = "draining"
    await house.told()
    refused = await ada.post(f"/api/calls/{call}/invite", {"user": "dan"})
    assert refused.error == (503, "draining") and refused.headers["Retry-After"] and ringing == 404
    assert (await cyd.post("/api/calls", {"users": ["dan"], "media": "audio"})).error == (503, "draining")
    assert (await house.authorize(bob, call)).status == 200, "a call that changes its network comes back"
    other = await house.signed_in("bob")
    late = await house.authorize(other, call)
    assert (late.status, late.json["why"]) == (503, "draining")
    assert (await ada.get("/api/me")).json["draining"] is True
    assert (await ada.post("/api/conversations/bob/messages", {"text": "soon"})).status == 201


async def test_from_85_percent_of_the_line_on_no_new_video_begins(house: House) -> None:
    house.add("acme", *(f"u{number}" for number in range(20)))
    await house.told()
    for number in range(0, 20, 2):
        await house.in_a_call(f"u{number}", f"u{number + 1}")
    ada = await house.signed_in("ada")
    for megabits, status in ((12, 201), (11, 503)):  # twenty talk, of 0.48 Mbit/s each
        house.bandwidth = megabits
        await house.told()
        answer = await ada.post("/api/calls", {"users": ["bob"], "media": "video"})
        assert answer.status == status
        if status == 201:
            await ada.post(f"/api/calls/{answer.json['id']}/leave")
    assert answer.error == (503, "no-bandwidth") and answer.headers["Retry-After"] == "60"
    assert (await ada.post("/api/calls", {"users": ["bob"], "media": "audio"})).status == 201, "voice goes on"


async def test_a_community_gets_so_many_calls_and_participants_and_others_have_theirs(house: House) -> None:
    house.add("acme", "dan", "eli")
    house.add("globex", "gus", "zoe")
    house.limits = {"calls": 1, "participants": 3}
    await house.told()
    call, (ada, _) = await house.in_a_call("ada", "bob")
    cyd, gus = await house.signed_in("cyd"), await house.signed_in("gus", "globex")
    refused = await cyd.post("/api/calls", {"users": ["dan"], "media": "audio"})
    assert refused.error == (503, "community-full") and refused.headers["Retry-After"] == "30"
    assert (await gus.post("/api/calls", {"users": ["zoe"], "media": "audio"})).status == 201
    assert (await ada.post(f"/api/calls/{call}/invite", {"user": "cyd"})).status == 200
    assert (await ada.post(f"/api/calls/{call}/invite", {"user": "dan"})).error == (503, "community-full")
    house.limits = {"calls": 1, "participants": 2}
    await house.told()
    assert (await cyd.post(f"/api/calls/{call}/accept")).status == 200, "who was rung had his place"
    house.limits = None
    await house.told()
    assert (await ada.post(f"/api/calls/{call}/invite", {"user": "dan"})).status == 200
    assert (await house.inner("GET", "/usage")).json["refused"]["CommunityLimitExceeded"] == 2


async def test_one_who_is_removed_leaves_the_call_and_the_others_talk_on(house: House) -> None:
    call, (ada, bob, cyd) = await house.in_a_call("ada", "bob", "cyd")
    await house.connect(call, ada, bob, cyd)
    async with ada.socket() as ears:
        await ears.quiet()
        del house.users["acme", "cyd"]
        await house.told()
        members = (await ears.until("call"))["call"]["members"]
    assert [(one["user"], one["state"]) for one in members] == [("ada", "in"), ("bob", "in"), ("cyd", "left")]
    assert (await house.authorize(cyd, call)).status == 401
    await house.settled()
    assert any(cut["user"] == "cyd" for cut in house.gate.cuts)
    assert not any(cut.get("user") in ("ada", "bob", None) for cut in house.gate.cuts)


async def test_a_change_of_other_communities_touches_no_call(house: House) -> None:
    call, (ada, bob) = await house.in_a_call("ada", "bob")
    await house.connect(call, ada, bob)
    async with ada.socket() as ears:
        before = await ears.quiet()
        for number in range(20):
            house.add("globex", f"g{number}")
            house.communities["globex"]["open"] = bool(number % 2)
            await house.told()
        await house.passes(60)
        assert await ears.quiet() == before
    await house.settled()
    assert not house.gate.cuts


# ---- the gate and the supervisor


async def test_the_gate_hears_who_it_is_and_what_he_may(house: House) -> None:
    house.users["acme", "bob"] = ["Chat", "Audio"]
    await house.told()
    call, (_, bob) = await house.in_a_call("ada", "bob")
    answer = (await house.authorize(bob, call)).json
    public = answer.pop("session")
    assert answer == {"user": "bob", "displayName": "Bob", "functions": ["Audio", "Chat"]}
    assert public.isalnum() and len(public) == 16 and bob.cookie is not None and public not in bob.cookie


async def test_the_gate_is_refused_with_a_status_for_each_reason(house: House) -> None:
    call, (_, bob) = await house.in_a_call("ada", "bob")
    cyd, eve = await house.signed_in("cyd"), await house.signed_in("eve", "globex")
    assert (await house.authorize(bob, call)).status == 200
    assert (await house.authorize(house.browser(cookie="x"), call)).status == 401
    assert (await house.authorize(cyd, call)).status == 403
    assert (await house.authorize(eve, call)).status == 404
    assert (await house.authorize(bob, "0" * 32)).status == 404


@pytest.mark.parametrize("body", [None, [], {"community": 7, "session": [], "call": {}}, {"community": "acme"}])
async def test_what_the_gate_says_is_understood_or_refused(house: House, body: object) -> None:
    assert (await house.inner("POST", "/authorize", body)).status == 401
    call, _ = await house.in_a_call("ada", "bob")
    assert (await house.inner("PUT", f"/calls/{call}/participants", body)).status == 400
    bad = {"participants": [None, {"user": 7}, {"user": "ada", "session": []}, "x"]}
    assert (await house.inner("PUT", f"/calls/{call}/participants", bad)).status == 204
    assert (await house.inner("PUT", "/calls/none/participants", {"participants": []})).status == 404


async def test_the_inner_api_is_none_of_the_browsers(house: House) -> None:
    ada = await house.signed_in("ada")
    assert (await ada.get("/counts")).status == (await ada.get("/usage")).status == 404
    assert (await ada.post("/authorize", {})).status in (400, 404)
    assert (await ada.post("/forget", {"community": "acme", "user": "bob"})).status in (400, 404)


async def test_the_supervisor_counts_what_a_drain_waits_for(house: House) -> None:
    async def counts() -> Any:
        return (await house.inner("GET", "/counts")).json

    assert await counts() == {"ringing": {}, "transfers": {}, "logins": {"acme": 3, "globex": 1}, "erased": []}
    ada, bob = await house.signed_in("ada"), await house.signed_in("bob")
    async with ada.socket():
        assert (await counts())["ringing"] == {}, "an open page is none"
        call = (await ada.post("/api/calls", {"users": ["bob"], "media": "audio"})).json["id"]
        assert (await counts())["ringing"] == {"acme": 1}
        await bob.post(f"/api/calls/{call}/accept")
        assert (await counts())["ringing"] == {"acme": 1}, "nobody is connected yet: the gate does not count it"
        await house.connect(call, ada, bob)
        assert (await counts())["ringing"] == {}
    del house.logins["acme", "cyd"]
    house.communities["globex"]["open"] = False
    await house.told()
    assert (await counts())["logins"] == {"acme": 2}


# ---- restarts


async def test_a_call_survives_a_restart_of_the_portal(house: House) -> None:
    call, (ada, bob) = await house.in_a_call("ada", "bob")
    await house.connect(call, ada, bob)
    await house.settled()
    await house.restart()
    await house.passes(3600)
    assert [one["state"] for one in (await ada.get(f"/api/calls/{call}")).json["members"]] == ["in", "in"]
    assert (await house.authorize(bob, call)).status == 200
    await house.settled()
    assert not house.gate.cuts


async def test_a_call_that_ended_while_both_were_down_ends(house: House) -> None:
    call, (ada, bob) = await house.in_a_call("ada", "bob")
    await house.connect(call, ada, bob)
    await house.settled()
    await house.restart()
    house.gate.answer = {"participants": {}}
    await house.portal.ask_gate()
    await house.passes(16)
    assert (await ada.get(f"/api/calls/{call}")).status == 404
    assert (await ada.post("/api/calls", {"users": ["bob"], "media": "audio"})).status == 201


async def test_a_gate_that_says_who_is_in_which_room_is_believed(house: House) -> None:
    call, (ada, bob) = await house.in_a_call("ada", "bob")
    pair = [{"user": user, "session": session.public} for user in ("ada", "bob")
            for session in house.portal.sessions.of(("acme", user))]  # fmt: skip
    house.gate.answer = {"participants": {"acme": 2}, "rooms": {f"acme/{call}": pair}}
    await house.portal.ask_gate()
    await house.passes(500)
    assert (await bob.get(f"/api/calls/{call}")).status == 200
    house.gate.answer = {"participants": {"acme": 2}, "rooms": {}}
    await house.portal.ask_gate()
    await house.passes(16)
    assert (await bob.get(f"/api/calls/{call}")).status == 404 and (await ada.get("/api/me")).status == 200


@pytest.mark.parametrize("answer", [None, [], "x", {"participants": []}, {"participants": None, "rooms": {}}])
async def test_a_gate_that_says_nothing_sensible_ends_no_call(house: House, answer: object) -> None:
    call, (ada, bob) = await house.in_a_call("ada", "bob")
    await house.connect(call, ada, bob)
    house.gate.answer = answer
    await house.portal.ask_gate()
    await house.passes(100)
    assert (await bob.get(f"/api/calls/{call}")).status == 200


async def test_a_gate_that_is_not_there_ends_no_call_and_holds_nobody_up(house: House) -> None:
    call, (ada, bob) = await house.in_a_call("ada", "bob")
    await house.connect(call, ada, bob)
    (house.folder / "gate-inner.sock").rename(house.folder / "away")
    await house.portal.ask_gate()
    await house.passes(100)
    assert (await bob.get(f"/api/calls/{call}")).status == 200
    assert (await bob.post(f"/api/calls/{call}/leave")).status == 200
