"""{function} × {allowed, not} × {member, colleague not in the call, other community, stranger}, refused at the server.

Each row asks for one thing past the page, as anybody can who has a session, or none.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from unit.portal.running import ALL, Answer, Browser, House

pytestmark = pytest.mark.timeout(20)

OK = 200
CREATED = 201


@dataclass
class Scene:
    """ada and bob of acme are in a call, cyd of acme is not; eve is of globex; a stranger has no session.

    Between ada and bob there is a message and a file; in their call there is a message.
    """

    house: House
    call: str
    file: str
    browsers: dict[str, Browser]

    def at(self, community: str) -> Browser:
        """Somebody of another community at the portal of this one, with what cookie he has."""
        other = self.browsers[community]
        return self.house.browser("acme", cookie=other.cookie)


async def scene(house: House) -> Scene:
    call, (ada, bob) = await house.in_a_call("ada", "bob")
    await house.connect(call, ada, bob)
    assert (await ada.post("/api/conversations/bob/messages", {"text": "between us"})).status == CREATED
    assert (await ada.post(f"/api/calls/{call}/messages", {"text": "in the call"})).status == CREATED
    file = (await ada.post("/api/conversations/bob/files?name=a.txt", data=b"content")).json["id"]
    cyd, eve = await house.signed_in("cyd"), await house.signed_in("eve", "globex")
    stranger = house.browser()
    return Scene(house, call, file, {"member": bob, "colleague": cyd, "other": eve, "stranger": stranger, "ada": ada})


THINGS = {
    "directory": lambda who, scene: who.get("/api/directory"),
    "conversations": lambda who, scene: who.get("/api/conversations"),
    "missed": lambda who, scene: who.get("/api/missed"),
    "start audio": lambda who, scene: who.post("/api/calls", {"users": ["dan"], "media": "audio"}),
    "start video": lambda who, scene: who.post("/api/calls", {"users": ["dan"], "media": "video"}),
    "call": lambda who, scene: who.get(f"/api/calls/{scene.call}"),
    "accept": lambda who, scene: who.post(f"/api/calls/{scene.call}/accept"),
    "refuse": lambda who, scene: who.post(f"/api/calls/{scene.call}/refuse"),
    "invite": lambda who, scene: who.post(f"/api/calls/{scene.call}/invite", {"user": "dan"}),
    "read the call": lambda who, scene: who.get(f"/api/calls/{scene.call}/messages"),
    "write in the call": lambda who, scene: who.post(f"/api/calls/{scene.call}/messages", {"text": "x"}),
    "read": lambda who, scene: who.get("/api/conversations/ada/messages"),
    "write": lambda who, scene: who.post("/api/conversations/ada/messages", {"text": "x"}),
    "list files": lambda who, scene: who.get("/api/conversations/ada/files"),
    "send a file": lambda who, scene: who.post("/api/conversations/ada/files?name=b.txt", data=b"b"),
    "take the file": lambda who, scene: who.get(f"/api/files/{scene.file}"),
    "connect": lambda who, scene: scene.house.authorize(who, scene.call),
    "leave": lambda who, scene: who.post(f"/api/calls/{scene.call}/leave"),
}

FUNCTION_OF = {
    "start audio": "Audio", "start video": "Video", "invite": "Audio",
    "read the call": "Chat", "write in the call": "Chat", "read": "Chat", "write": "Chat",
    "list files": "FileSharing", "send a file": "FileSharing", "take the file": "FileSharing",
}  # fmt: skip
MEMBERS_ALONE = {"call", "accept", "refuse", "invite", "read the call", "write in the call", "leave"}
"""Of the call; what concerns two people, like `take the file`, is asked beside."""


FUNCTION_AT_BOTH_ENDS = [
    ("write", "Chat"), ("read", "Chat"), ("send a file", "FileSharing"), ("list files", "FileSharing"),
]  # fmt: skip


async def ask(scene: Scene, who: str, thing: str) -> Answer:
    browser = scene.browsers[who] if who != "other" else scene.at("other")
    return await THINGS[thing](browser, scene)


@pytest.mark.parametrize("thing", THINGS)
async def test_a_member_with_all_functions_may(house: House, thing: str) -> None:
    house.add("acme", "dan")
    await house.told()
    found = await scene(house)
    answer = await ask(found, "member", thing)
    # Who is in a call starts no other one; a file of nothing but its text is one more thing to see below.
    expected = {"start audio": {409}, "start video": {409}}.get(thing, {OK, CREATED, 204})
    assert answer.status in expected, answer.content


@pytest.mark.parametrize("thing", sorted(FUNCTION_OF))
async def test_a_member_without_the_function_may_not(house: House, thing: str) -> None:
    house.add("acme", "dan")
    await house.told()
    found = await scene(house)
    if thing.startswith("start"):
        await ask(found, "member", "leave")
    missing = FUNCTION_OF[thing]
    house.users["acme", "bob"] = [function for function in ALL if function != missing]
    await house.told()
    answer = await ask(found, "member", thing)
    assert answer.error == (403, "not-allowed")


@pytest.mark.parametrize("thing", sorted(MEMBERS_ALONE))
async def test_a_colleague_who_is_not_in_the_call_finds_none(house: House, thing: str) -> None:
    house.add("acme", "dan")
    await house.told()
    assert (await ask(await scene(house), "colleague", thing)).error == (404, "not-found")


async def test_a_colleague_gets_nothing_of_what_two_others_have(house: House) -> None:
    found = await scene(house)
    cyd = found.browsers["colleague"]
    assert (await cyd.get(f"/api/files/{found.file}")).error == (404, "not-found")
    assert (await house.authorize(cyd, found.call)).error == (403, "not-allowed")
    assert (await cyd.get("/api/conversations/ada/messages")).json["messages"] == [], "his own with ada"
    assert (await cyd.get("/api/conversations/bob/files")).json["files"] == []


async def test_who_is_in_a_call_takes_no_file_of_what_the_other_has_with_a_colleague(house: House) -> None:
    found = await scene(house)
    sent = await found.browsers["ada"].post("/api/conversations/cyd/files?name=b.txt", data=b"for cyd")
    assert (await found.browsers["colleague"].get(f"/api/files/{sent.json['id']}")).content == b"for cyd"
    assert (await found.browsers["member"].get(f"/api/files/{sent.json['id']}")).error == (404, "not-found")


@pytest.mark.parametrize("thing", sorted(THINGS))
@pytest.mark.parametrize("who", ["other", "stranger"])
async def test_nobody_from_outside_may_anything(house: House, thing: str, who: str) -> None:
    """`other` comes to acme's portal with the session of globex."""
    house.add("acme", "dan")
    await house.told()
    assert (await ask(await scene(house), who, thing)).error == (401, "signed-out")


@pytest.mark.parametrize("thing", sorted(MEMBERS_ALONE | {"take the file", "connect", "read", "write", "send a file"}))
async def test_another_community_finds_nothing_of_it_at_its_own_portal(house: House, thing: str) -> None:
    """Ids are not secret enough: who knows one and is of another community finds nothing behind it."""
    found = await scene(house)
    eve = found.browsers["other"]
    answer = await THINGS[thing](eve, found)
    assert answer.error == (404, "not-found")


@pytest.mark.parametrize(
    "origin", ["https://acme.example.com", "https://meet.globex.example.com"], ids=["the TVox's own", "a sibling's"]
)
async def test_a_hostile_page_that_a_member_looks_at_gets_and_does_nothing_in_his_name(
    house: House, origin: str
) -> None:
    """His browser adds his cookie, as both are of the same site. What leads to the media is the gate's to refuse."""
    house.add("acme", "dan")
    await house.told()
    found = await scene(house)
    found.browsers["member"].origin = origin
    answers = {thing: (await ask(found, "member", thing)).error for thing in sorted(THINGS.keys() - {"connect"})}
    assert answers == dict.fromkeys(answers, (403, "not-allowed"))
    assert len((await found.browsers["ada"].get("/api/conversations/bob/messages")).json["messages"]) == 1
    assert house.portal.calls.busy(("acme", "bob")), "he is still in the call"


async def test_a_namesake_of_another_community_finds_nothing_either(house: House) -> None:
    """globex has an ada and a bob as well: a name is one only together with its community."""
    house.add("globex", "ada", "bob")
    await house.told()
    found = await scene(house)
    for name, other in (("bob", "ada"), ("ada", "bob")):
        namesake = await house.signed_in(name, "globex")
        assert (await namesake.get(f"/api/files/{found.file}")).error == (404, "not-found")
        assert (await namesake.get(f"/api/calls/{found.call}")).error == (404, "not-found")
        assert (await namesake.get(f"/api/calls/{found.call}/messages")).error == (404, "not-found")
        assert (await namesake.post(f"/api/calls/{found.call}/accept")).error == (404, "not-found")
        assert (await house.authorize(namesake, found.call)).error == (404, "not-found")
        assert (await namesake.get(f"/api/conversations/{other}/messages")).json["messages"] == []
        assert (await namesake.get(f"/api/conversations/{other}/files")).json["files"] == []
        assert (await namesake.get("/api/conversations")).json["conversations"] == []
        assert (await namesake.get("/api/missed")).json["missed"] == []
        async with namesake.socket() as ears:
            await found.browsers["ada"].post("/api/conversations/bob/messages", {"text": "x"})
            await found.browsers["ada"].post(f"/api/calls/{found.call}/messages", {"text": "x"})
            assert {heard["type"] for heard in await ears.quiet()} == {"functions", "draining"}
            assert await ears.watch(other) == {other: "offline"}
        assert not house.portal.calls.busy(("globex", name))
        await house.passes(6)  # he is offline again


async def test_sockets_are_for_who_is_signed_in(house: House) -> None:
    import aiohttp

    found = await scene(house)
    for browser in (found.browsers["stranger"], found.at("other")):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with browser.socket():
                pass
        assert refused.value.status == 401


@pytest.mark.parametrize("ends", ["ada", "bob"])
@pytest.mark.parametrize(("thing", "function"), FUNCTION_AT_BOTH_ENDS)
async def test_chat_and_files_need_the_function_at_both_ends(
    house: House, ends: str, thing: str, function: str
) -> None:
    found = await scene(house)
    house.users["acme", ends] = [other for other in ALL if other != function]
    await house.told()
    assert (await ask(found, "member", thing)).error == (403, "not-allowed")


@pytest.mark.parametrize("functions", [["Chat", "FileSharing"], []])
async def test_who_may_nothing_in_a_call_is_not_called_nor_let_in(house: House, functions: list[str]) -> None:
    house.add("acme", "dan", functions=functions)
    await house.told()
    found = await scene(house)
    ada, dan = found.browsers["ada"], await house.signed_in("dan")
    assert (await ada.post(f"/api/calls/{found.call}/invite", {"user": "dan"})).error == (403, "not-allowed")
    await found.browsers["colleague"].post("/api/calls", {"users": ["dan"], "media": "audio"})
    assert not house.portal.calls.busy(("acme", "dan"))
    assert (await dan.get("/api/directory")).status == OK, "he sees who there is"


async def test_who_loses_all_that_he_may_in_a_call_is_out_of_it(house: House) -> None:
    found = await scene(house)
    house.users["acme", "bob"] = ["Chat"]
    await house.told()
    assert (await house.authorize(found.browsers["member"], found.call)).error == (404, "not-found"), "ada was alone"
    await house.settled()
    assert {"community": "acme", "call": found.call, "user": "bob"} in house.gate.cuts


@pytest.mark.parametrize("kept", [["Audio"], ["Video"], ["DesktopSharing"]])
async def test_who_may_one_thing_in_a_call_stays_and_the_gate_hears_what(house: House, kept: list[str]) -> None:
    found = await scene(house)
    house.users["acme", "bob"] = kept
    await house.told()
    answer = await house.authorize(found.browsers["member"], found.call)
    assert answer.status == OK and answer.json["functions"] == kept
