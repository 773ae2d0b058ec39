"""What is said about a link, given what OpenVPN and the supervisor said and when."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from mcs_operator.agent.inputs import Established, Gone, Input, Refusal, Refused, Roster, Session, Slot
from mcs_operator.agent.tunnel import GRACE, REFUSAL_HOLDS, WINDOW, Link
from mcs_operator.contract.linkstate import MAX_MESSAGE, SlotState, TunnelReason, TunnelState, TunnelStatus

START = 1_800_000_000.0
RUNNING = Slot(SlotState.RUNNING, "revision-1")
HOME, OTHER = "203.0.113.5", "198.51.100.9"
PIN = "ab" * 32


class Story:
    """A link's life, told in order; ``at`` is seconds since its start."""

    def __init__(self, link: Link | None = None) -> None:
        self.link = link or Link().after(RUNNING, START)
        self.time = 0.0
        self._clients = 0

    def at(self, seconds: float, *heard: Input) -> Story:
        assert seconds >= self.time, "a story is told forwards"
        self.time = seconds
        for one in heard:
            self.link = self.link.after(one, START + seconds)
        return self

    def connects(self, seconds: float, host: str = HOME, **more: str) -> Story:
        self._clients += 1
        session = Session(self._clients, f"{host}:{40000 + self._clients}", START + seconds, "2.4.12", PIN)
        return self.at(seconds, Established(replace(session, **more)))  # type: ignore[arg-type]

    def disappears(self, seconds: float) -> Story:
        return self.at(seconds, Roster(()))

    def restarts(self, seconds: float) -> Story:
        """OpenVPN begins anew: its client numbers too."""
        self._clients = 0
        return self.at(seconds, Gone())

    def flaps(self, times: Iterable[float]) -> Story:
        for time in times:
            self.connects(time - 1).disappears(time)
        return self

    def tunnel(self, seconds: float | None = None) -> TunnelState:
        return self.link.tunnel(START + (self.time if seconds is None else seconds))

    def says(self, seconds: float | None = None) -> tuple[str, str]:
        tunnel = self.tunnel(seconds)
        return tunnel.status.value, tunnel.reason.value


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(START + seconds, UTC)


EXPIRED = Refused(Refusal.EXPIRED, HOME)
NOT_PINNED = Refused(Refusal.NOT_PINNED, HOME, f"SHA-256 {PIN}")
UP = ("True", "Established")


# --- the plain life of a link ---


def test_before_openvpn_was_read_nothing_is_claimed() -> None:
    story = Story()
    assert story.says() == ("Unknown", "Pending")
    assert story.tunnel().since is None


def test_a_tunnel_that_is_down_says_that_others_are_kept_out_and_once_whatever_their_number() -> None:
    some, more = (replace(RUNNING, dropped=number) for number in (3, 400))
    never = Story().at(1, Roster(()), some)
    assert never.tunnel().message == "nobody has connected yet; spec.allowedSources keeps out others who dial"
    assert never.at(60, more).tunnel() == never.tunnel()
    lost = Story().connects(5).disappears(100).at(120, some)
    assert lost.tunnel().message.endswith("Z; spec.allowedSources keeps out others who dial")
    assert Story().at(1, Roster(()), replace(RUNNING, dropped=0)).tunnel().message == "nobody has connected yet"
    assert Story().connects(5).at(6, some).tunnel().message == "", "who is connected is not asked"


def test_a_link_on_which_nobody_came_never_connected() -> None:
    assert Story().at(1, Roster(())).says() == ("False", "NeverConnected")


def test_a_tunnel_is_established_with_peer_version_and_fingerprint() -> None:
    assert Story().connects(5).tunnel() == TunnelState(
        status=TunnelStatus.TRUE,
        reason=TunnelReason.ESTABLISHED,
        since=moment(5),
        peer=f"{HOME}:40001",
        clientVersion="2.4.12",
        flaps=0,
        fingerprint=PIN,
    )


def test_a_tunnel_that_ended_is_lost_since_then_and_counts_as_one_flap() -> None:
    tunnel = Story().connects(5).disappears(100).tunnel(500)
    assert (tunnel.status, tunnel.reason, tunnel.flaps) == ("False", TunnelReason.LOST, 1)
    assert tunnel.since == moment(100)


def test_a_tunnel_that_is_down_shows_who_was_there_last_and_since_when_nobody_is() -> None:
    story = Story().connects(5, HOME).disappears(100).connects(200, OTHER).restarts(300)
    tunnel = story.tunnel(400)
    assert (tunnel.peer, tunnel.clientVersion, tunnel.since) == (f"{OTHER}:40002", "2.4.12", moment(300))
    free = story.at(500, Slot(SlotState.IDLE))
    assert free.tunnel().peer is None, "the next link's customer is somebody else"


def test_where_nobody_ever_was_nobody_is_shown() -> None:
    assert Story().at(1, Roster(())).tunnel().peer is None


def test_the_fingerprint_that_was_seen_stays_after_the_tunnel_ended() -> None:
    assert Story().connects(5).disappears(100).tunnel().fingerprint == PIN


def test_a_list_that_shows_the_same_client_changes_nothing() -> None:
    story = Story().connects(5)
    before = story.link
    session = Session(1, f"{HOME}:40001", START + 5)
    assert story.at(60, Roster((session,))).link == before


def test_a_client_that_connected_before_the_agent_did_is_taken_from_the_list() -> None:
    story = Story().at(60, Roster((Session(4, f"{HOME}:40001", START - 3600),)))
    assert story.says() == UP
    assert story.tunnel().since == moment(-3600)


def test_the_version_of_a_client_that_connected_before_the_agent_did_is_told_with_its_tunnel() -> None:
    known = Session(4, f"{HOME}:40001", START - 3600, version="2.4.12")
    assert Story().at(60, Roster((known,))).tunnel().clientVersion == "2.4.12"
    nobody_knew = Story().at(60, Roster((replace(known, version=None),)))
    assert nobody_knew.at(70, Roster((known,))).tunnel().clientVersion == "2.4.12"


def test_a_client_whose_nat_gave_it_another_port_keeps_its_tunnel() -> None:
    story = Story().connects(5).at(60, Roster((Session(1, f"{HOME}:50000", START + 5),)))
    tunnel = story.tunnel()
    assert (tunnel.peer, tunnel.flaps, tunnel.since) == (f"{HOME}:50000", 0, moment(5))
    assert tunnel.clientVersion == "2.4.12"


def test_a_client_that_is_back_before_its_ghost_timed_out_lost_its_tunnel_once() -> None:
    story = Story().connects(5).connects(60)
    assert story.says() == UP
    assert (story.tunnel().flaps, story.tunnel().since) == (1, moment(60))


def test_a_new_client_with_the_number_of_a_forgotten_one_is_a_new_client() -> None:
    story = Story().connects(5).at(900, Roster((Session(1, f"{HOME}:40001", START + 800),)))
    assert (story.tunnel().flaps, story.tunnel().since) == (1, moment(800))


# --- flapping: 3 losses in 10 minutes, until 10 minutes are quiet ---


@pytest.mark.parametrize(
    ("losses", "flapping"),
    [
        pytest.param([], False, id="no loss"),
        pytest.param([100], False, id="one loss"),
        pytest.param([100, 200], False, id="two losses"),
        pytest.param([100, 200, 300], True, id="three losses"),
        pytest.param([100, 400, 699], True, id="three losses in just under ten minutes"),
        pytest.param([100, 400, 700], False, id="the third when the first is ten minutes old"),
        pytest.param([100, 800, 1500, 2200, 2900], False, id="many, each on its own"),
    ],
)
def test_three_losses_in_ten_minutes_are_flapping(losses: list[float], flapping: bool) -> None:
    story = Story().flaps(losses).connects(3000 if not flapping else losses[-1] + 1)
    assert story.says() == (("True", "Flapping") if flapping else UP)
    assert story.tunnel().flaps == len(losses)


def test_a_flapping_link_that_is_down_is_not_connected() -> None:
    assert Story().flaps([100, 200, 300]).says() == ("False", "Flapping")


def test_flapping_lasts_until_ten_minutes_were_quiet() -> None:
    story = Story().flaps([100, 200, 300]).connects(310)
    assert story.says(300 + WINDOW - 1) == ("True", "Flapping")
    assert story.says(300 + WINDOW) == UP


def test_each_further_loss_while_flapping_begins_the_ten_minutes_anew() -> None:
    story = Story().flaps([100, 200, 300, 850]).connects(860)
    assert story.says(300 + WINDOW) == ("True", "Flapping")
    assert story.says(850 + WINDOW) == UP


def test_after_flapping_a_link_that_stays_down_is_lost() -> None:
    assert Story().flaps([100, 200, 300]).says(300 + WINDOW) == ("False", "Lost")


def test_when_the_report_changes_by_itself_is_known_ahead() -> None:
    story = Story().flaps([100, 200, 300]).connects(310)
    assert story.link.next_change(START + 310) == START + 300 + WINDOW
    assert Story().connects(5).link.next_change(START + 10) is None


# --- restarts of OpenVPN ---


def test_a_restart_for_a_new_revision_is_no_flap_and_is_not_seen_as_down() -> None:
    story = Story().connects(5).restarts(100)
    assert story.says() == UP, "for a moment it is not known whether it was planned"
    story.at(100.6, Slot(SlotState.STARTING, "revision-2")).connects(102)
    assert story.says(102) == UP
    assert story.tunnel(200).flaps == 0
    assert story.tunnel(200).since == moment(102)


def test_a_restart_is_no_flap_either_when_the_client_is_back_before_the_supervisor_is_heard() -> None:
    story = Story().connects(5).restarts(100).connects(101)
    story.at(101.5, Slot(SlotState.RUNNING, "revision-2"))
    assert story.tunnel(200).flaps == 0


def test_a_restart_is_no_flap_when_the_supervisor_is_heard_before_the_process_ended() -> None:
    story = Story().connects(5).at(99, Slot(SlotState.STARTING, "revision-2")).restarts(100)
    assert story.tunnel(200).flaps == 0


def test_a_crash_after_a_planned_restart_is_a_flap() -> None:
    story = Story().connects(5).restarts(100).at(100.5, Slot(SlotState.RUNNING, "revision-2")).connects(101)
    assert story.restarts(150).tunnel(200).flaps == 1


def test_after_a_planned_restart_a_tvox_that_does_not_come_back_is_lost() -> None:
    story = Story().connects(5).restarts(100).at(101, Slot(SlotState.RUNNING, "revision-2"), Roster(()))
    assert story.says(100 + GRACE) == ("False", "Lost")
    assert story.tunnel(200).flaps == 0


def test_an_openvpn_that_dies_is_a_flap_of_this_link() -> None:
    story = Story().connects(5).restarts(100)
    assert story.says(100 + GRACE) == ("False", "Lost")
    assert story.tunnel(100 + GRACE).flaps == 1
    assert story.tunnel(100 + GRACE).since == moment(100)


def test_an_openvpn_that_dies_is_a_flap_also_when_the_client_is_back_at_once() -> None:
    story = Story().connects(5).restarts(100).connects(101)
    story.at(102, Roster((Session(1, f"{HOME}:40001", START + 101),)))
    assert story.tunnel(100 + GRACE).flaps == 1
    assert story.says(100 + GRACE) == UP


def test_a_process_that_was_only_slow_to_answer_did_not_end() -> None:
    story = Story().connects(5).at(100, Gone()).at(101, Roster((Session(1, f"{HOME}:40001", START + 5),)))
    assert story.tunnel(200).flaps == 0
    assert story.tunnel(200).since == moment(5)


def test_a_link_that_is_switched_off_did_not_flap() -> None:
    story = Story().connects(5).restarts(100).at(100.5, Slot(SlotState.IDLE, "revision-2"))
    assert story.says() == ("False", "Lost")
    assert story.tunnel(200).flaps == 0


def test_the_stopping_of_the_pod_is_no_flap() -> None:
    story = Story().connects(5).at(99, Slot(SlotState.STOPPING, "revision-1")).restarts(100)
    assert story.tunnel(200).flaps == 0


def test_a_container_that_is_replaced_is_no_flap_and_nobody_hears_of_it_where_the_client_is_back_in_time() -> None:
    story = Story().connects(5).at(99, Slot(SlotState.STOPPING, "revision-1")).at(99.4, Gone())
    story.at(101, Slot(SlotState.RUNNING, "revision-1"))
    assert story.says() == UP
    story.connects(102)
    assert story.says(99.4 + GRACE) == UP
    assert story.tunnel(200).flaps == 0


def test_a_slot_that_becomes_free_forgets_everything() -> None:
    story = Story().flaps([100, 200, 300]).at(400, Slot(SlotState.IDLE))
    assert story.link == Link(Slot(SlotState.IDLE))


def test_a_quarantined_slot_keeps_its_tunnel() -> None:
    story = Story().connects(5).at(50, Slot(SlotState.QUARANTINED, "revision-1", "bad"))
    assert story.says() == UP


# --- clients that are refused ---


def test_an_expired_certificate_is_named_while_the_link_is_down() -> None:
    story = Story().at(1, Roster(()), EXPIRED)
    assert story.says() == ("False", "CertificateExpired")
    assert HOME in story.tunnel().message


@pytest.mark.parametrize("why", [why for why in Refusal if why is not Refusal.EXPIRED])
def test_any_other_refusal_is_a_failed_authentication(why: Refusal) -> None:
    story = Story().at(1, Roster(()), Refused(why, HOME, "detail"))
    assert story.says() == ("False", "AuthenticationFailed")
    assert HOME in story.tunnel().message


def test_a_client_that_is_let_in_later_ends_the_refusal() -> None:
    assert Story().at(1, Roster(()), NOT_PINNED).connects(2).disappears(3).says() == ("False", "Lost")


def test_a_refused_client_that_gave_up_is_forgotten() -> None:
    story = Story().at(1, Roster(())).at(10, NOT_PINNED).at(60, NOT_PINNED)
    assert story.says(179) == ("False", "AuthenticationFailed")
    assert story.says(180) == ("False", "NeverConnected")


def test_a_new_revision_begins_without_old_refusals() -> None:
    story = Story().at(1, Roster(()), NOT_PINNED).at(2, Slot(SlotState.RUNNING, "revision-2"))
    assert story.says() == ("False", "NeverConnected")


def test_refusals_by_turns_change_the_report_at_most_once_a_minute() -> None:
    story = Story().at(1, Roster(()))
    told = []
    for second in range(2, 242):
        story.at(second, EXPIRED if second % 2 else NOT_PINNED)
        told.append(story.tunnel())
    changes = sum(one != two for one, two in pairwise(told))
    assert 1 <= changes <= 4


def test_a_client_that_tries_again_and_again_from_new_ports_is_one_message() -> None:
    story = Story().at(1, Roster(()), NOT_PINNED)
    first = story.tunnel()
    for second in range(2, 600, 3):
        story.at(second, NOT_PINNED)
    assert story.tunnel() == first


@pytest.mark.parametrize("noise", [EXPIRED, NOT_PINNED, Refused(Refusal.NOT_TRUSTED, OTHER)])
def test_a_stranger_changes_nothing_about_a_connected_link(noise: Refused) -> None:
    story = Story().connects(5)
    before = story.tunnel()
    for second in range(6, 300):
        story.at(second, noise)
    assert story.tunnel() == before
    assert story.disappears(300).says() == ("False", "Lost"), "nor afterwards"


def test_a_stranger_changes_nothing_during_a_planned_restart() -> None:
    story = Story().connects(5).restarts(100).at(100.2, NOT_PINNED)
    assert story.says(101) == UP


def test_a_message_is_bounded_whatever_came() -> None:
    story = Story().at(1, Roster(()), Refused(Refusal.NOT_TRUSTED, HOME, "x" * 10_000))
    assert len(story.tunnel().message) <= MAX_MESSAGE


# --- one certificate in two places ---


def turns(count: int, *hosts: str, every: float = 12) -> Story:
    story = Story()
    for turn in range(count):
        story.connects(10 + turn * every, hosts[turn % len(hosts)])
    return story


@pytest.mark.parametrize(
    ("count", "contested"),
    [
        pytest.param(2, False, id="one took over: a TVox that changed its uplink"),
        pytest.param(3, False, id="and back: it changed back"),
        pytest.param(4, True, id="and again: two places"),
    ],
)
def test_the_same_certificate_from_two_addresses_by_turns_is_a_wrong_peer(count: int, contested: bool) -> None:
    story = turns(count, HOME, OTHER)
    assert (story.says()[1] == "WrongPeer") is contested


def test_three_places_are_a_wrong_peer_too() -> None:
    assert turns(5, HOME, OTHER, "192.0.2.77").says() == ("False", "WrongPeer")


def test_a_wrong_peer_names_both_places_and_is_steady_while_it_lasts() -> None:
    story = turns(4, HOME, OTHER)
    first = story.tunnel()
    assert HOME in first.message and OTHER in first.message
    for turn in range(4, 60):
        story.connects(10 + turn * 12, (HOME, OTHER)[turn % 2])
        assert story.tunnel() == first, "each difference would be a write of the status, every few seconds"


def test_a_tvox_that_restarts_often_from_one_address_is_flapping_not_contested() -> None:
    assert turns(6, HOME).says() == ("True", "Flapping")


def test_one_change_of_uplink_each_hour_is_not_contested() -> None:
    assert turns(10, HOME, OTHER, every=3600).says() == UP


def test_a_wrong_peer_is_over_when_ten_minutes_were_quiet() -> None:
    story = turns(4, HOME, OTHER)
    assert story.says(story.time + WINDOW - 1) == ("False", "WrongPeer")
    assert story.says(story.time + WINDOW) == UP


def test_a_rotated_key_ends_a_wrong_peer_at_once() -> None:
    story = turns(4, HOME, OTHER)
    end = story.time
    story.restarts(end + 1).at(end + 2, Slot(SlotState.RUNNING, "revision-2")).connects(end + 3)
    assert story.says(end + 10)[1] != "WrongPeer"


# --- a restart of the agent ---


@pytest.mark.parametrize(
    "story",
    [
        pytest.param(Story().connects(5), id="up"),
        pytest.param(Story().connects(5).disappears(60), id="lost"),
        pytest.param(Story().flaps([100, 200, 300]).connects(310), id="flapping, up"),
        pytest.param(Story().flaps([100, 200, 300]), id="flapping, down"),
        pytest.param(turns(4, HOME, OTHER), id="wrong peer"),
        pytest.param(Story().at(1, Roster(())), id="never connected"),
    ],
)
def test_a_restarted_agent_tells_the_same_story(story: Story) -> None:
    recalled = Link.recalled(story.link.remembered(), RUNNING, START + 60)
    session = story.link.session
    listed = Roster((replace(session, version=None, fingerprint=None),) if session else ())
    later = START + story.time + 2
    assert recalled.after(listed, later).tunnel(later) == story.link.tunnel(later)


def test_a_tunnel_that_ended_while_nobody_watched_is_lost() -> None:
    story = Story().connects(5)
    recalled = Link.recalled(story.link.remembered(), RUNNING, START + 60).after(Roster(()), START + 60)
    assert recalled.tunnel(START + 60).reason is TunnelReason.LOST
    assert recalled.tunnel(START + 60).flaps == 1


def test_a_planned_restart_while_nobody_watched_is_no_flap() -> None:
    story = Story().connects(5)
    recalled = Link.recalled(story.link.remembered(), Slot(SlotState.RUNNING, "revision-2"), START + 60)
    assert recalled.after(Roster(()), START + 60).tunnel(START + 60).flaps == 0


def test_an_openvpn_that_died_just_before_the_agent_did_is_a_flap() -> None:
    story = Story().connects(5).restarts(100)
    recalled = Link.recalled(story.link.remembered(), RUNNING, START + 105).after(Roster(()), START + 105)
    assert (recalled.tunnel(START + 105).reason, recalled.tunnel(START + 105).flaps) == (TunnelReason.LOST, 1)


def test_a_new_firewall_is_a_new_revision_of_the_same_process_whose_end_is_then_a_flap() -> None:
    story = Story(Link().after(Slot(SlotState.RUNNING, "revision-1", pid=7), START)).connects(5)
    story.at(50, Slot(SlotState.RUNNING, "revision-2", pid=7))
    assert story.says() == UP
    story.restarts(100).at(100 + GRACE)
    assert story.tunnel().flaps == 1


def test_another_process_of_another_revision_is_a_restart_on_purpose() -> None:
    story = Story(Link().after(Slot(SlotState.RUNNING, "revision-1", pid=7), START)).connects(5)
    story.at(99, Slot(SlotState.STARTING, "revision-2", pid=8)).restarts(100).at(100 + GRACE)
    assert story.tunnel().flaps == 0


def test_a_new_firewall_while_nobody_watched_is_no_end() -> None:
    story = Story(Link().after(Slot(SlotState.RUNNING, "revision-1", pid=7), START)).connects(5)
    recalled = Link.recalled(story.link.remembered(), Slot(SlotState.RUNNING, "revision-2", pid=7), START + 60)
    assert recalled.tunnel(START + 60).status is TunnelStatus.TRUE


def test_what_time_alone_changes_is_due_at_the_earliest_of_its_moments_and_never_in_the_past() -> None:
    """A moment that is missed is a report that stays wrong; one in the past would be looked at again and again."""
    quiet = Story().connects(5)
    assert quiet.link.next_change(START + 6) is None
    ended = Story().flaps([10, 20, 30]).connects(39).restarts(40)
    assert ended.link.next_change(START + 41) == START + 40 + GRACE
    assert ended.link.next_change(START + 9999) == START + 9999
    judged = ended.link.at(START + 40 + GRACE)
    assert judged.next_change(START + 50) == START + 40 + WINDOW
    refused = Story().at(1, Roster(()), EXPIRED)
    assert refused.link.next_change(START + 2) == START + 1 + REFUSAL_HOLDS


@pytest.mark.parametrize(("after", "told"), [(GRACE - 0.1, False), (GRACE + 0.1, True)])
def test_a_refusal_counts_only_once_the_end_of_a_process_is_judged(after: float, told: bool) -> None:
    """A TVox that comes back to a process that restarts may be refused by its first breath."""
    story = Story().connects(5).restarts(100).at(100 + after, EXPIRED)
    assert (story.link.refusal is not None) is told


def test_a_refusal_never_concerns_a_tunnel_that_is_up() -> None:
    assert Story().connects(5).at(6, EXPIRED).link.refusal is None


def test_a_contest_is_over_when_the_last_turn_is_long_ago_and_not_before() -> None:
    story = Story().connects(10).connects(20, OTHER).connects(30).connects(40, OTHER)
    assert story.link.contested is not None
    assert story.link.next_change(START + 41) == START + 40 + WINDOW
    assert story.tunnel(40 + WINDOW - 1).reason is TunnelReason.WRONG_PEER
    assert story.tunnel(40 + WINDOW).reason is not TunnelReason.WRONG_PEER


# --- every edge ---


@pytest.mark.parametrize(("apart", "same"), [(2, True), (-2, True), (2.5, False), (-2.5, False), (3, False)])
def test_one_client_is_the_same_up_to_two_seconds_apart(apart: float, same: bool) -> None:
    one = Session(1, f"{HOME}:1", START)
    assert one.is_same(replace(one, since=START + apart)) is same
    assert not one.is_same(replace(one, client=2))


@pytest.mark.parametrize(("after", "told"), [(59.9, Refusal.EXPIRED), (60, Refusal.NOT_PINNED)])
def test_another_refusal_is_told_once_the_first_stood_for_a_minute(after: float, told: Refusal) -> None:
    story = Story().at(1, Roster(()), EXPIRED).at(1 + after, NOT_PINNED)
    assert story.link.refusal is not None
    assert story.link.refusal.refused.why is told
    assert story.link.refusal.last == START + (1 if told is Refusal.EXPIRED else 61)


def test_in_the_very_moment_in_which_an_end_is_judged_a_refusal_counts() -> None:
    assert Story().connects(5).restarts(100).at(100 + GRACE, EXPIRED).link.refusal is not None


@pytest.mark.parametrize(
    ("why", "told"),
    [
        (Refusal.EXPIRED, "its certificate has expired"),
        (Refusal.NOT_YET_VALID, "its certificate is not valid yet, or a clock is wrong"),
        (Refusal.NOT_PINNED, "its certificate is not this link's present one"),
        (Refusal.NOT_TRUSTED, "its certificate is not of this instance"),
    ],
)
@pytest.mark.parametrize(("detail", "added"), [("", ""), ("self-signed", " (self-signed)")])
def test_a_refusal_says_who_and_why(why: Refusal, told: str, detail: str, added: str) -> None:
    message = Story().at(1, Roster(()), Refused(why, HOME, detail)).tunnel().message
    assert message == f"{HOME} was refused: {told}{added}"


def test_what_is_said_of_a_link_without_a_refusal() -> None:
    assert Story().tunnel().message == "OpenVPN of this slot has not been read yet"
    assert Story().at(1, Roster(())).tunnel().message == "nobody has connected yet"
    assert Story().connects(5).tunnel().message == ""
    assert Story().connects(5).disappears(6).tunnel().message == "the tunnel ended at 2027-01-15T08:00:06Z"
    flapping = "lost 3 times within 10 minutes; over when 10 minutes are quiet"
    assert Story().flaps([100, 200, 300]).tunnel().message == flapping


def test_a_wrong_peer_is_told_whole_and_names_at_most_four_places() -> None:
    assert turns(4, HOME, OTHER).tunnel() == TunnelState(
        status=TunnelStatus.FALSE,
        reason=TunnelReason.WRONG_PEER,
        message=f"the same profile is used by turns at {OTHER} and {HOME}: each throws the other out",
        since=moment(46),
        flaps=2,
        fingerprint=PIN,
    )
    hosts = [f"10.0.0.{number}" for number in range(1, 6)]
    assert "at 10.0.0.1 and 10.0.0.2 and 10.0.0.3 and 10.0.0.4: each" in turns(10, *hosts).tunnel().message


def test_a_rotated_key_forgets_who_threw_out_whom() -> None:
    link = turns(4, HOME, OTHER).link.after(Slot(SlotState.RUNNING, "revision-2"), START + 50)
    assert (link.contested, link.moves, link.refusal) == (None, (), None)
    twice = turns(3, HOME, OTHER).link.after(Slot(SlotState.RUNNING, "revision-2"), START + 50)
    story = Story(twice)
    story.connects(60, OTHER)
    assert story.says()[1] != "WrongPeer", "it was the first time with this key"


def test_a_turn_of_ten_minutes_ago_is_forgotten_and_at_most_six_are_kept() -> None:
    story = turns(2, HOME, OTHER)
    moved = story.link.moves[0].at - START
    story.connects(moved + WINDOW)
    assert [(one.loser, one.winner) for one in story.link.moves] == [(OTHER, HOME)]
    assert [one.at for one in turns(12, HOME, OTHER).link.moves] == [START + 10 + 12 * turn for turn in range(6, 12)]


def test_a_tunnel_whose_contest_was_never_one_changes_nothing_by_itself() -> None:
    story = Story().connects(10).connects(20, OTHER)
    assert (story.link.contested, len(story.link.moves)) == (None, 1)
    assert story.link.next_change(START + 21) is None
    assert replace(story.link, contested=START, moves=()).next_change(START + 21) is None


def test_an_end_without_a_tunnel_is_none() -> None:
    before = Story().at(1, Roster(())).link
    assert before.after(Gone(), START + 2) == before
    assert Link().read is False


def test_a_free_slot_keeps_what_its_supervisor_says_and_a_switched_off_one_its_past() -> None:
    free = Slot(SlotState.IDLE, None, "an error")
    assert Story().connects(5).at(9, free).link == Link(free)
    switched_off = Slot(SlotState.IDLE, "revision-1")
    lost = Story().connects(5).disappears(9)
    assert lost.at(10, switched_off).link == replace(Story().connects(5).disappears(9).link, slot=switched_off)
    running = Story().connects(5).restarts(9).at(10, Slot(SlotState.QUARANTINED, "revision-1"))
    assert running.link.ended is not None, "only an idle one says at once that its process ended on purpose"


def test_all_that_is_remembered_is_recalled() -> None:
    slot = Slot(SlotState.RUNNING, "revision-1", "an error", 7)
    story = Story(replace(turns(4, HOME, OTHER).link, slot=slot))
    link = replace(story.link, losses=(START + 1, START + 2), flaps=2, flapping=True, lost=START + 2)
    assert Link.recalled(json.loads(json.dumps(link.remembered())), slot, START + 60) == replace(link, read=False)
    assert Link.recalled(None, slot, START + 60) == Link(slot)


def test_a_planned_restart_while_nobody_watched_ended_the_tunnel_when_the_agent_was_back() -> None:
    link = Story().connects(5).link
    slot = Slot(SlotState.RUNNING, "revision-2", pid=8)
    recalled = Link.recalled(link.remembered(), slot, START + 60)
    assert recalled == Link(slot, lost=START + 60, last=link.session, fingerprint=PIN)


def test_a_new_revision_of_the_same_process_is_the_one_in_force_when_the_agent_is_back() -> None:
    link = Story(Link().after(Slot(SlotState.RUNNING, "revision-1", pid=7), START)).connects(5).link
    slot = Slot(SlotState.RUNNING, "revision-2", pid=7)
    assert Link.recalled(link.remembered(), slot, START + 60).revision == "revision-2"


@pytest.mark.parametrize("name", ["client", "since", "peer"])
def test_a_session_that_is_remembered_in_part_is_none(name: str) -> None:
    memory = Story().connects(5).link.remembered()
    recalled = Link.recalled(memory | {"session": memory["session"] | {name: None}}, RUNNING, START + 60)
    assert recalled == Link(RUNNING, fingerprint=PIN)


def test_of_remembered_turns_the_last_six_are_taken_and_a_bad_time_is_long_ago() -> None:
    memory = {"moves": [[START + number, HOME, OTHER] for number in range(8)] + [["soon", HOME, OTHER], [1, 2]]}
    moves = Link.recalled(memory, RUNNING, START + 60).moves
    assert [one.at for one in moves] == [*(START + number for number in range(3, 8)), 0.0]
