"""What the operator takes of the agent's word: bounded, and never more than a refusal where it makes no sense."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
from pydantic import ValidationError

from mcs_operator.contract.linkstate import (
    MAX_MESSAGE,
    MAX_PORTALS,
    MAX_TOKEN,
    METRICS_PATH,
    LinkReport,
    LinkState,
    MediaState,
    SlotState,
    TunnelReason,
    TunnelState,
    TunnelStatus,
    metrics_token,
    plain,
)


def report(**changes: Any) -> dict[str, Any]:
    return {"epoch": "e", "version": 1, "links": [{"slot": 17, "state": "Running"}]} | changes


def read(body: Any) -> LinkReport:
    return LinkReport.model_validate_json(body if isinstance(body, str | bytes) else json.dumps(body))


@pytest.mark.parametrize("count", [0, 1, 249, 250])
def test_as_many_links_as_there_may_be_are_taken(count: int) -> None:
    links = [{"slot": number, "state": "Running"} for number in range(2, 2 + count)]
    assert len(read(report(links=links)).links) == count


REFUSED = [
    pytest.param(report(links=[{"slot": 2, "state": "Running"}] * 251), id="251 links"),
    pytest.param(report(links=[{"slot": 1, "state": "Running"}]), id="slot 1"),
    pytest.param(report(links=[{"slot": 252, "state": "Running"}]), id="slot 252"),
    pytest.param(report(links=[{"slot": 17, "state": "Dancing"}]), id="a state that there is not"),
    pytest.param(report(version=-1), id="a version below zero"),
    pytest.param(report(version=2**53 + 1), id="a version beyond measure"),
    pytest.param(report(media={"connections": 10**30}), id="connections beyond measure"),
    pytest.param("[" * 100_000, id="nested beyond measure"),
    pytest.param("", id="nothing"),
    pytest.param(b"\xff", id="no UTF-8"),
    pytest.param(report(epoch=7), id="an epoch that is no text"),
]


@pytest.mark.parametrize("body", REFUSED)
def test_what_makes_no_sense_is_refused_and_nothing_else_is_raised(body: Any) -> None:
    with pytest.raises(ValidationError):
        read(body)


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", 1e300, "soon"])
def test_a_time_that_no_calendar_has_is_refused(since: object) -> None:
    with pytest.raises(ValidationError):
        read(report(links=[{"slot": 17, "state": "Running", "tunnel": {"since": since}}]))


def test_what_is_too_long_is_cut_for_a_report_that_is_refused_is_a_pod_of_which_nothing_is_known() -> None:
    told = read(
        report(
            epoch="e" * 999,
            links=[{"slot": 17, "state": "Running", "error": "x" * 9999, "tunnel": {"peer": "p" * 999}}],
            media={"connections": 3, "error": "y" * 513, "config": "z" * 999},
        )
    )
    (link,) = told.links
    assert (link.error, link.tunnel.peer) == ("x" * MAX_MESSAGE, "p" * MAX_TOKEN)
    assert told.media is not None
    assert (told.media.connections, told.media.error, told.media.config) == (3, "y" * MAX_MESSAGE, "z" * MAX_TOKEN)
    assert told.epoch == "e" * MAX_TOKEN


def test_no_line_break_and_no_change_of_direction_gets_into_a_condition() -> None:
    told = LinkState.model_validate({"slot": 17, "state": "Running", "error": "a\nb\u202ec\x1b[31md\ud800"})
    assert told.error == "a b c [31md "


@pytest.mark.parametrize(("text", "cut"), [("", ""), ("a", "a"), ("ab", "ab"), ("abc", "ab"), ("ä€", "ä€")])
def test_a_text_is_cut_at_its_limit(text: str, cut: str) -> None:
    assert plain(text, 2) == cut


def test_of_what_is_not_said_the_least_is_taken() -> None:
    (link,) = read(report()).links
    assert link.tunnel.model_dump(mode="json") == {
        "status": "Unknown", "reason": "Pending", "message": "", "since": None, "peer": None, "clientVersion": None,
        "flaps": 0, "fingerprint": None,
    }  # fmt: skip


def test_a_report_is_not_changed_after_it_was_read() -> None:
    (link,) = read(report()).links
    with pytest.raises(ValidationError, match="frozen"):
        link.slot = 18


def test_the_words_of_the_wire_are_these() -> None:
    """An operator reads what agents of older and newer images say; the states are also words of the supervisor's."""
    assert [state.value for state in SlotState] == ["Idle", "Starting", "Running", "Quarantined", "Stopping"]
    assert [status.value for status in TunnelStatus] == ["True", "False", "Unknown"]
    assert [reason.value for reason in TunnelReason] == [
        *("Established", "Flapping", "NeverConnected", "Lost"),
        *("CertificateExpired", "AuthenticationFailed", "WrongPeer", "Pending"),
    ]
    assert (MAX_MESSAGE, MAX_TOKEN, METRICS_PATH) == (512, 64, "/metrics")


def test_the_token_for_metrics_is_made_from_the_agents_own_as_the_documentation_says() -> None:
    assert metrics_token("zoë") == hmac.new("zoë".encode(), b"metrics", hashlib.sha256).hexdigest()


@pytest.mark.parametrize(("count", "taken"), [(-1, False), (0, True), (2**53, True), (2**53 + 1, False)])
def test_a_count_is_from_0_to_what_a_float_can_tell(count: int, taken: bool) -> None:
    for model, field in ((TunnelState, "flaps"), *((MediaState, name) for name in ("connections", "users", "links"))):
        if taken:
            assert getattr(model.model_validate({field: count, "of": "a newer image"}), field) == count
        else:
            with pytest.raises(ValidationError):
                model.model_validate({field: count})


@pytest.mark.parametrize(
    ("fingerprint", "taken"),
    [
        ("0a" * 32, True),
        (None, True),
        ("0A" * 32, False),
        ("0a" * 31, False),
        ("0a" * 32 + "0", False),
        ("0g" * 32, False),
    ],
)
def test_a_fingerprint_is_a_sha_256_in_lower_hex(fingerprint: str | None, taken: bool) -> None:
    if taken:
        assert TunnelState.model_validate({"fingerprint": fingerprint}).fingerprint == fingerprint
    else:
        with pytest.raises(ValidationError):
            TunnelState.model_validate({"fingerprint": fingerprint})


# --- certificates that the appliance does not take ---


def told(refused: Any) -> list[tuple[str, str]]:
    return [(one.domain, one.problem) for one in MediaState.model_validate({"refused": refused}).refused]


def test_of_what_an_appliance_refuses_a_domain_and_a_reason_are_taken_and_251_of_them() -> None:
    whole = {"domain": "A.mcs.test", "problem": "too\nlong"}
    assert told([whole]) == [("a.mcs.test", "too?long")]
    assert len(told([whole] * 251)) == 251
    assert len(told([whole] * 252)) == 251
    again = MediaState.model_validate({"refused": [whole]}).refused
    assert told(tuple(again)) == [("a.mcs.test", "too?long")], "passed on as it was taken"
    for other in ("text", 7, None, {"domain": "a"}):
        assert told(other) == []


@pytest.mark.parametrize(
    ("domain", "taken"),
    [("x", True), ("x" * 253, True), ("x" * 254, False), ("", False), (7, False), (None, False), ("a\nb", False)],
)
def test_a_refused_domain_has_1_to_253_characters_that_can_be_written(domain: Any, taken: bool) -> None:
    good = {"domain": "b", "problem": "p"}
    assert told([{"domain": domain, "problem": "p"}, good]) == [*([(domain, "p")] if taken else []), ("b", "p")]


@pytest.mark.parametrize("problem", ["", None, 7, ["p"]])
def test_a_domain_that_is_refused_without_a_word_is_left_out(problem: Any) -> None:
    assert told([{"domain": "a", "problem": problem}, "b", ["c"], {"domain": "d", "problem": "x" * 513}]) == [
        ("d", "x" * 512)
    ]


@pytest.mark.parametrize(
    ("said", "taken"), [("the set is\nbroken", "the set is?broken"), ("x" * 513, "x" * 512), ("", None), (7, None)]
)
def test_why_a_set_of_files_is_not_taken_is_a_text_or_nothing(said: Any, taken: str | None) -> None:
    assert MediaState.model_validate({"notTaken": said}).notTaken == taken


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ({"17": 2, "18": 0}, {17: 2, 18: 0}),
        ({}, {}),
        ({17: 2}, {17: 2}),
        ({"1": 1, "2": 1, "251": 1, "252": 1, "017": 1, "x": 1}, {2: 1, 251: 1}),
        ({"17": -1, "18": "2", "19": True, "20": None, "21": 1.5, "22": 2**60}, {22: 2**53}),
        (None, None),
        ([17], None),
        ("17", None),
    ],
)
def test_links_out_of_service_are_numbers_of_links_with_counts_and_whoever_says_none_knows_none(
    said: Any, taken: Any
) -> None:
    state = MediaState.model_validate({"outOfService": said})
    assert state.outOfService == taken
    assert MediaState.model_validate_json(state.model_dump_json()) == state


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ({"cpuMillicores": 4000, "memoryBytes": 8_000_000_000}, {"cpuMillicores": 4000, "memoryBytes": 8_000_000_000}),
        ({"memoryBytes": 1, "gpus": 2}, {"memoryBytes": 1}),
        ({"memoryBytes": 0, "cpuMillicores": True}, {}),
        ({"memoryBytes": "8G", "cpuMillicores": 2**53 + 1}, {}),
        ({}, {}),
        ("8G", None),
        (None, None),
    ],
)
def test_of_a_size_its_positive_numbers_are_taken_and_whoever_says_none_has_not_said_any(said: Any, taken: Any) -> None:
    assert MediaState.model_validate({"size": said}).size == taken


@pytest.mark.parametrize(
    ("said", "taken"), [(2, 2), (1, 1), (3, 3), (0, 1), (-1, 1), ("2", 1), (True, 1), (2.0, 1), (None, 1), (2**60, 1)]
)
def test_an_appliance_that_does_not_say_which_contract_it_keeps_keeps_the_first(said: Any, taken: int) -> None:
    assert MediaState.model_validate({"contract": said}).contract == taken


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ({"acme": {"logins": 12}, "globex": {"logins": 0}}, {"acme": 12, "globex": 0}),
        ({"acme": {"logins": 1, "more": "x"}}, {"acme": 1}),
        ({"a": {"logins": -1}, "b": {"logins": "1"}, "c": {"logins": True}, "d": {}, "e": None, "f": []}, {}),
        ({"a": {"logins": 2**60}}, {"a": 2**53}),
        ({"x" * 40: {"logins": 1}, "x" * 41: {"logins": 1}, "": {"logins": 1}, "a\nb": {"logins": 1}}, {"x" * 40: 1}),
        ({"Acme": {"logins": 1}, "ac.me": {"logins": 1}, "\ud800": {"logins": 1}}, {}),
        (None, {}),
        (["acme"], {}),
        ("acme", {}),
    ],
)
def test_portals_are_names_of_communities_with_counts(said: Any, taken: Any) -> None:
    state = MediaState.model_validate({"portals": said})
    assert state.portals == taken
    assert MediaState.model_validate_json(state.model_dump_json()) == state, "passed on as it was taken"


@pytest.mark.parametrize("count", [0, 1, MAX_PORTALS - 1, MAX_PORTALS, MAX_PORTALS + 1])
def test_no_more_portals_are_taken_than_an_appliance_may_tell_of(count: int) -> None:
    said = {f"c{n}": {"logins": n} for n in range(count)}
    assert len(MediaState.model_validate({"portals": said}).portals) == min(count, MAX_PORTALS)


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        (["a" * 32], ["a" * 32]),
        (["a" * 31, "A" * 32, "x" * 32, 7, None, [], "0" * 32], ["0" * 32]),
        (["a" * 32] * 60, ["a" * 32] * 50),
        ("a" * 32, []), (None, []), ({"a" * 32: 1}, []),
    ],
)  # fmt: skip
def test_what_can_be_no_id_of_a_request_is_not_taken_for_one(said: object, taken: list[str]) -> None:
    assert MediaState.model_validate({"erased": said}).erased == taken


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ("", ""), ("x" * 43, "x" * 43), ("-_" + "A" * 41, "-_" + "A" * 41),
        ("x" * 42, None), ("x" * 44, None), ("x" * 42 + "=", None), ("x" * 42 + "\n", None), ("٣" * 43, None),
        (None, None), (7, None), (["x" * 43], None),
    ],
)  # fmt: skip
def test_what_can_be_no_thumbprint_confirms_none(said: object, taken: str | None) -> None:
    assert MediaState.model_validate({"acmeThumbprint": said}).acmeThumbprint == taken


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ("", ""), ("acme-solver.mcs-demo.svc:8089", "acme-solver.mcs-demo.svc:8089"),
        ("acme-solver", None), ("a b:80", None), ("a:80\n", None), ("x" * 300 + ":80", None), (7, None), (None, None),
    ],
)  # fmt: skip
def test_what_can_be_no_solver_of_challenges_names_none(said: object, taken: str | None) -> None:
    assert MediaState.model_validate({"http01Solver": said}).http01Solver == taken


def test_of_an_appliance_that_says_nothing_the_least_is_taken() -> None:
    assert MediaState().model_dump(mode="json") == {
        "connections": 0, "draining": False, "config": None, "users": 0, "links": 0, "error": None, "refused": [],
        "notTaken": None, "outOfService": None, "size": None, "contract": 1, "portals": {},
        "erased": [], "acmeThumbprint": None, "http01Solver": None,
    }  # fmt: skip
    assert read({"epoch": "e", "version": 0}).model_dump() == {"epoch": "e", "version": 0, "links": [], "media": None}
