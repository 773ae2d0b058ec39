"""What each object is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mcs_operator.api import Impact, MCSInstanceStatus
from mcs_operator.api.conditions import Kind, Reason
from mcs_operator.contract.linkstate import LinkReport, MediaState, SlotState, TunnelReason, TunnelState, TunnelStatus
from mcs_operator.contract.openvpn import Where
from mcs_operator.domain.decide import decide
from mcs_operator.domain.facts.world import Damaged, DamagedProfile, Fingerprint, Size, Unreadable, World
from mcs_operator.domain.pod.disruptions import Cause, Disruption
from mcs_operator.domain.pod.ledger import Interruption
from mcs_operator.domain.pod.rollout import Rollout, Step
from mcs_operator.domain.pod.sizing import size
from mcs_operator.domain.rules import messages
from mcs_operator.domain.rules.verdict import Verdict
from mcs_operator.domain.status import Wanted, all_statuses
from support.worlds import (
    NOW,
    community,
    conditions,
    fingerprint,
    given,
    identity,
    instance,
    link,
    links,
    message,
    pod,
    report,
    slot,
    state,
    users_file,
)

WANTED = Wanted(revisions={17: "r17"})
DOWN = TunnelState(status=TunnelStatus.FALSE, reason=TunnelReason.NEVER_CONNECTED)
SERVED = [instance(), community(), link("a"), identity("a", 17), pod()]


def told(world: World, kind: Kind, name: str, wanted: Wanted = WANTED) -> dict[str, Any]:
    return all_statuses(world, decide(world), wanted)[kind, name]


def of_link(*things: Any, wanted: Wanted = WANTED, **more: Any) -> dict[str, Any]:
    return told(given(*things, **more), Kind.LINK, "a", wanted)


def of_instance(*things: Any, wanted: Wanted = WANTED, **more: Any) -> dict[str, Any]:
    return told(given(*things, **more), Kind.INSTANCE, "mcs", wanted)


def of_community(*things: Any) -> dict[str, Any]:
    return told(given(*things), Kind.COMMUNITY, "acme")


# --- links ---


def test_a_link_whose_slot_runs_its_revision_is_ready_and_connected() -> None:
    status = of_link(SERVED, report(state(17, "r17")))
    assert conditions(status) == {
        "Ready": ("True", "Programmed"),
        "Reconciling": ("False", "Reconciled"),
        "Stalled": ("False", "NotStalled"),
        "Accepted": ("True", "Accepted"),
        "Programmed": ("True", "Programmed"),
        "Connected": ("True", "Established"),
        "RotationPending": ("False", "UpToDate"),
        "CertificateReady": ("Unknown", "NotConfigured"),
        "DomainResolved": ("Unknown", "Pending"),
        "InService": ("True", "InService"),
    }


def test_a_link_says_where_it_is() -> None:
    status = of_link(SERVED, report(state(17, "r17")))
    assert {key: status[key] for key in ("slot", "vpnAddress", "port", "profileSecret", "observedGeneration")} == {
        "slot": 17,
        "vpnAddress": "198.18.254.17",
        "port": 21017,
        "profileSecret": "a-profile",
        "observedGeneration": 1,
    }


def test_a_tunnel_shows_peer_time_losses_and_version_and_no_counters() -> None:
    up = TunnelState(
        status=TunnelStatus.TRUE,
        reason=TunnelReason.ESTABLISHED,
        since=NOW,
        peer="203.0.113.5:41234",
        clientVersion="2.4.12",
        flaps=2,
    )
    assert of_link(SERVED, report(state(17, "r17", tunnel=up)))["tunnel"] == {
        "since": "2026-03-01T12:00:00Z",
        "peer": "203.0.113.5:41234",
        "flaps": 2,
        "clientVersion": "2.4.12",
    }


EVERY_TUNNEL = [
    (TunnelStatus.TRUE, TunnelReason.ESTABLISHED),
    (TunnelStatus.TRUE, TunnelReason.FLAPPING),
    (TunnelStatus.TRUE, TunnelReason.WRONG_PEER),
    (TunnelStatus.FALSE, TunnelReason.FLAPPING),
    (TunnelStatus.FALSE, TunnelReason.NEVER_CONNECTED),
    (TunnelStatus.FALSE, TunnelReason.LOST),
    (TunnelStatus.FALSE, TunnelReason.CERTIFICATE_EXPIRED),
    (TunnelStatus.FALSE, TunnelReason.AUTHENTICATION_FAILED),
    (TunnelStatus.FALSE, TunnelReason.WRONG_PEER),
]


@pytest.mark.parametrize(("up", "reason"), EVERY_TUNNEL)
def test_ready_never_depends_on_the_tunnel(up: TunnelStatus, reason: TunnelReason) -> None:
    status = of_link(SERVED, report(state(17, "r17", tunnel=TunnelState(status=up, reason=reason, message="why"))))
    assert conditions(status)["Ready"] == ("True", "Programmed")
    assert conditions(status)["Connected"] == (up.value, reason.value)
    assert message(status, "Connected") == "why"


@pytest.mark.parametrize("up", list(TunnelStatus))
@pytest.mark.parametrize("reason", list(TunnelReason))
def test_whatever_an_agent_says_about_a_tunnel_a_status_comes_of_it(up: TunnelStatus, reason: TunnelReason) -> None:
    """An agent of another version, or one that is wrong, must not end the reconciliation of 249 others."""
    of_link(SERVED, report(state(17, "r17", tunnel=TunnelState(status=up, reason=reason))))


@pytest.mark.parametrize("slot_state", list(SlotState))
@pytest.mark.parametrize("revision", [None, "r17", "other"])
@pytest.mark.parametrize("enabled", [True, False])
def test_whatever_an_agent_says_about_a_slot_a_status_comes_of_it(
    slot_state: SlotState, revision: str | None, enabled: bool
) -> None:
    things = [instance(), community(), link("a", enabled=enabled), identity("a", 17), pod()]
    of_link(things, report(state(17, revision, state=slot_state)))


def test_a_slot_that_runs_another_revision_is_not_programmed_yet_and_its_tunnel_is_told() -> None:
    found = conditions(of_link(SERVED, report(state(17, "the one before"))))
    assert (found["Programmed"], found["Ready"]) == (("False", "Pending"), ("False", "Pending"))
    assert found["Reconciling"] == ("True", "Progressing")
    assert found["Connected"] == ("True", "Established")


def test_a_slot_that_the_agent_does_not_list_is_not_programmed() -> None:
    found = conditions(of_link(SERVED, report()))
    assert (found["Programmed"], found["Connected"]) == (("False", "Pending"), ("False", "Pending"))


def test_without_an_agent_nothing_is_known() -> None:
    found = conditions(of_link(SERVED))
    assert found["Programmed"] == found["Connected"] == found["Ready"] == ("Unknown", "AgentUnreachable")
    assert found["Reconciling"] == ("True", "Progressing")
    assert found["Accepted"] == ("True", "Accepted")


@pytest.mark.parametrize("reason", [Reason.PENDING, Reason.RECONCILE_FAILED])
def test_without_an_agent_nobody_says_that_a_tunnel_is_down_whatever_else_is_wrong(reason: Reason) -> None:
    wanted = Wanted(revisions={17: "r17"}, problems={"a": Verdict(reason, "its key is damaged")})
    status = of_link(SERVED, wanted=wanted)
    assert conditions(status)["Programmed"] == ("False", reason.value)
    assert conditions(status)["Connected"] == ("Unknown", "AgentUnreachable")
    assert message(status, "Connected") == "the link agent in the media pod does not answer"


def rotating(*known: Fingerprint) -> tuple[tuple[str, str], str]:
    """RotationPending of a link with these certificates, and its message."""
    wanted = Wanted(revisions={17: "r17"}, fingerprints={"a": known})
    status = of_link(SERVED, report(state(17, "r17")), wanted=wanted)
    return conditions(status)["RotationPending"], message(status, "RotationPending")


def test_how_far_a_rotation_is_and_what_to_do_is_told_in_full() -> None:
    old, new = fingerprint("old"), fingerprint("new", deadline=NOW + timedelta(days=30))
    revoked = replace(old, revoked=NOW)
    made = "the profile of 2026-02-28T12:00:00Z (Secret a-profile)"
    assert rotating(old) == (("False", "UpToDate"), "")
    assert rotating(old, new) == (
        ("True", "NewNotSeen"),
        (
            f"upload {made} to the TVox: its certificate has not been seen yet. "
            "The old one is accepted until 2026-03-31T12:00:00Z"
        ),
    )
    assert rotating(revoked, new) == (
        ("True", "OldRefused"),
        f"only {made} is accepted, and its certificate has not been seen yet; upload it to the TVox",
    )
    assert rotating(replace(new, seen=NOW)) == (("False", "UpToDate"), "")
    assert rotating(revoked) == (
        ("False", "Revoked"),
        "the TVox's certificate is revoked; ask for a new profile by annotation mcs.tvox.io/rotate-requested-at",
    )


def test_a_quarantined_slot_keeps_its_tunnel_and_stalls() -> None:
    status = of_link(SERVED, report(state(17, "good", state=SlotState.QUARANTINED, error="revision does not match")))
    found = conditions(status)
    assert found["Programmed"] == found["Ready"] == ("False", "Quarantined")
    assert found["Stalled"] == ("True", "Quarantined")
    assert found["Connected"] == ("True", "Established")
    assert "revision does not match" in message(status, "Stalled")


def test_a_disabled_link_that_has_stopped_is_ready() -> None:
    off = [instance(), community(), link("a", enabled=False), identity("a", 17)]
    found = conditions(of_link(off, report(state(17, "r17", state=SlotState.IDLE, tunnel=DOWN))))
    assert found["Programmed"] == found["Ready"] == ("True", "Disabled")
    assert found["Connected"] == ("False", "Disabled")
    assert found["Stalled"] == ("False", "NotStalled")


def test_a_link_of_a_suspended_instance_is_as_declared_and_not_connected() -> None:
    found = conditions(of_link(instance(suspend=True), community(), link("a"), identity("a", 17)))
    assert found["Ready"] == ("True", "Suspended")
    assert found["Programmed"] == found["Connected"] == ("False", "Suspended")
    assert found["Reconciling"] == ("False", "Reconciled")
    assert found["Stalled"] == ("False", "NotStalled")


def test_a_disabled_link_that_still_runs_is_not_done() -> None:
    off = [instance(), community(), link("a", enabled=False), identity("a", 17)]
    found = conditions(of_link(off, report(state(17, "r17"))))
    assert found["Programmed"] == ("False", "Pending")


def test_an_enabled_link_whose_slot_is_idle_is_not_done() -> None:
    found = conditions(of_link(SERVED, report(state(17, "r17", state=SlotState.IDLE, tunnel=DOWN))))
    assert found["Programmed"] == ("False", "Pending")


def test_a_number_beyond_the_pods_slots_says_how_many_there_are() -> None:
    few = [instance(vpn={"slots": 15}), community(), link("a"), identity("a", 17)]
    status = of_link(few, report(), wanted=Wanted(revisions={}))
    assert conditions(status)["Programmed"] == ("False", "NoFreeSlot")
    assert conditions(status)["Stalled"] == ("True", "NoFreeSlot")
    assert "2 to 16" in message(status, "Programmed")


def test_the_last_of_the_pods_slots_is_one_of_them() -> None:
    enough = [instance(vpn={"slots": 16}), community(), link("a"), identity("a", 17)]
    assert conditions(of_link(enough, report(state(17, "r17"))))["Programmed"] == ("True", "Programmed")


@pytest.mark.parametrize("reason", [Reason.CAPACITY_EXCEEDED, Reason.DOMAIN_TAKEN, Reason.ADDRESS_OUT_OF_RANGE])
def test_what_only_the_user_can_change_stalls(reason: Reason) -> None:
    things = {
        Reason.CAPACITY_EXCEEDED: [links(250), link("a")],
        Reason.DOMAIN_TAKEN: [link("a", domain="mcs.test")],
        Reason.ADDRESS_OUT_OF_RANGE: [link("a", vpnAddress="10.0.0.9")],
    }[reason]
    status = of_link(instance(), community(), things)
    found = conditions(status)
    assert found["Accepted"] == found["Ready"] == ("False", reason.value)
    assert found["Stalled"] == ("True", reason.value)
    assert found["Reconciling"] == ("False", "Reconciled")
    assert found["Programmed"] == ("False", "NotAccepted")
    assert "slot" not in status


@pytest.mark.parametrize(
    ("things", "reason"),
    [
        ([link("a")], "InstanceNotFound"),
        ([instance(), link("a")], "CommunityNotFound"),
        ([instance(), community(instance="other"), link("a")], "InstanceMismatch"),
    ],
)
def test_what_may_still_come_is_waited_for(things: list[Any], reason: str) -> None:
    found = conditions(of_link(things))
    assert found["Accepted"] == found["Ready"] == ("False", reason)
    assert found["Reconciling"] == ("True", "Progressing")
    assert found["Stalled"] == ("False", "NotStalled")


def test_a_link_that_lost_its_community_is_not_ready_and_still_connected() -> None:
    status = of_link(instance(), link("a"), identity("a", 17), report(state(17, "r17")))
    found = conditions(status)
    assert (found["Ready"], found["Connected"]) == (("False", "CommunityNotFound"), ("True", "Established"))
    assert status["slot"] == 17


def test_a_lost_profile_stalls_and_the_customer_stays_connected() -> None:
    status = of_link(instance(), community(), link("a"), slot(17, "a"), report(state(17, "r17")))
    found = conditions(status)
    assert (found["Stalled"], found["Ready"]) == (("True", "ProfileLost"), ("True", "Programmed"))
    assert found["Connected"] == ("True", "Established")
    assert "a-profile" in message(status, "Stalled")


def test_a_name_that_is_taken_refuses_the_link_and_names_the_secret() -> None:
    taken = Wanted(revisions={}, problems={"a": Verdict(Reason.NAME_TAKEN, "Secret a-profile exists")})
    status = of_link(SERVED, report(), wanted=taken)
    assert conditions(status)["Accepted"] == ("False", "NameTaken")
    assert "a-profile" in message(status, "Accepted")


def test_a_new_link_of_an_instance_that_lost_its_ca_gets_no_identity() -> None:
    things = [instance(), community(), link("a"), identity("b", 9), link("b", age=9)]
    found = conditions(of_link(things, report(), ca=False, wanted=Wanted(revisions={9: "r9"})))
    assert found["Programmed"] == found["Ready"] == ("False", "IdentityLost")


# --- instances ---


def test_an_instance_is_ready_when_its_media_is_and_never_because_of_a_link() -> None:
    status = of_instance(SERVED, report(state(17, "r17", tunnel=DOWN)), wanted=WANTED)
    assert conditions(status) == {
        "Ready": ("True", "Serving"),
        "Reconciling": ("False", "Reconciled"),
        "Stalled": ("False", "NotStalled"),
        "Accepted": ("True", "Accepted"),
        "Sized": ("True", "AsTier"),
        "RestartPending": ("False", "UpToDate"),
        "CapacityPressure": ("False", "Sufficient"),
        "DomainResolved": ("Unknown", "Pending"),
        "InService": ("True", "InService"),
        "CertificateReady": ("Unknown", "NotConfigured"),
    }


def test_a_link_that_is_not_programmed_keeps_the_instance_reconciling_and_ready() -> None:
    found = conditions(of_instance(SERVED, report()))
    assert (found["Ready"], found["Reconciling"]) == (("True", "Serving"), ("True", "Progressing"))


STUCK = [
    pytest.param({}, {"state": SlotState.QUARANTINED}, {}, id="a slot that refuses its Secret"),
    pytest.param({"vpn": {"slots": 15}}, {}, {}, id="a number for which there is no slot"),
    pytest.param({}, {}, {"problems": {"a": Verdict(Reason.RECONCILE_FAILED, "why")}}, id="a defect of ours"),
    pytest.param({}, {}, {"problems": {"a": Verdict(Reason.NAME_TAKEN, "why")}}, id="a name that is taken"),
    pytest.param({}, {}, {"authority": Verdict(Reason.CA_INVALID, "why")}, id="a CA that cannot sign"),
]


@pytest.mark.parametrize(("spec", "slot_is", "wanted"), STUCK)
def test_a_link_that_only_a_person_can_help_is_counted_and_holds_no_pipeline_up(
    spec: dict[str, Any], slot_is: dict[str, Any], wanted: dict[str, Any]
) -> None:
    """Flux and Argo CD waited for ever for an instance of which one link was broken."""
    things = [instance(**spec), community(), link("a"), identity("a", 17), link("b"), identity("b", 2), pod()]
    told_by_agent = report(state(17, "another", **slot_is), state(2, "r2"))
    status = of_instance(things, told_by_agent, wanted=Wanted({2: "r2", 17: "r17"}, **wanted))
    assert conditions(status)["Reconciling"] == ("False", "Reconciled")
    assert message(status, "Reconciling").startswith("1 of 2 TVoxLinks cannot be programmed; ")


def test_what_is_only_not_done_yet_is_waited_for_beside_what_is_stuck() -> None:
    things = [instance(), community(), link("a"), identity("a", 17), link("b"), identity("b", 2), pod()]
    stuck = state(17, "r17", state=SlotState.QUARANTINED)
    status = of_instance(things, report(stuck), wanted=Wanted({2: "r2", 17: "r17"}))
    assert conditions(status)["Reconciling"] == ("True", "Progressing")
    assert message(status, "Reconciling") == "1 slots are not programmed yet"


def test_an_instance_counts_its_links() -> None:
    more = [link("b", age=5), identity("b", 18), link("d", age=4), identity("d", 19), link("c", domain="mcs.test")]
    up_and_down = state(17, "r17"), state(18, "r18", tunnel=DOWN), state(19, "r19")
    status = of_instance(SERVED, more, report(*up_and_down))
    assert status["links"] == {"accepted": 3, "up": 2, "rejected": 1, "capacity": 250, "left": 247}


@pytest.mark.parametrize(("slots_run", "up"), [(True, {}), (False, {"up": 0})])
def test_while_slots_run_and_the_agent_is_silent_nobody_says_that_no_link_is_up(
    slots_run: bool, up: dict[str, int]
) -> None:
    status = of_instance(SERVED[:-1], pod(slots_run=slots_run))
    assert {name: count for name, count in status["links"].items() if name == "up"} == up


def test_an_instance_tells_its_band_and_how_many_connections_at_60_kilobytes_a_second_it_carries() -> None:
    assert of_instance(SERVED)["bandwidth"] == {"total": "100M", "connections": 208}


def test_an_instance_counts_the_slots_that_are_left() -> None:
    """MAX said 250 and LEFT 247 of a pod with eight slots."""
    things = [instance(vpn={"slots": 8}), community()]
    held = [link("a"), identity("a", 17), link("b"), identity("b", 2), link("c", community="gone"), identity("c", 3)]
    status = of_instance(things, held, pod(), report())
    counted = {"accepted": 2, "up": 0, "rejected": 1, "capacity": 8, "left": 6}
    assert status["links"] == counted, "b and c have a slot, a has a number without one"
    full = of_instance(things, [link(f"l{n}") for n in range(9)], pod(), report())
    assert full["links"] == {"accepted": 8, "up": 0, "rejected": 1, "capacity": 8, "left": 0}
    assert conditions(full)["CapacityPressure"] == ("True", "AlmostFull")
    assert "8 of 8 TVoxLinks" in message(full, "CapacityPressure")


def test_a_link_without_a_free_slot_says_so_and_stalls() -> None:
    world = given(instance(vpn={"slots": 1}), community(), link("first", age=9), link("a"), pod(), report())
    status = told(world, Kind.LINK, "a")
    found = conditions(status)
    assert found["Accepted"] == found["Ready"] == ("False", "NoFreeSlot")
    assert (found["Stalled"], found["Reconciling"]) == (("True", "NoFreeSlot"), ("False", "Reconciled"))
    assert found["Programmed"] == ("False", "NotAccepted")
    assert "slot" not in status
    assert message(status, "Accepted").endswith("this one takes over when a place frees up")


@pytest.mark.parametrize(("tier", "capacity"), [("UpTo1000", 1000), ("UpTo10000", 10_000)])
def test_an_instance_counts_its_users(tier: str, capacity: int) -> None:
    status = of_instance(instance(tier=tier), community(users=("a", "b")))
    assert status["users"] == {"served": 2, "capacity": capacity, "left": capacity - 2}


def test_an_instance_says_which_pod_runs_where() -> None:
    status = of_instance(SERVED)
    assert (status["node"], status["podUID"], status["image"]) == (
        "mcs-node",
        "uid-of-pod",
        "localhost/mcs/appliance:dev",
    )


def test_what_an_instance_waits_for_is_told_in_full_and_what_is_not_written_before_all() -> None:
    asleep, missed = pod(media_ready=False, media_problem="CrashLoopBackOff"), "goes on with the one before"
    unwritten = ("Secret mcs-users-03: Forbidden", "Service mcs: Conflict")

    def waits_for(*things: Any, **wanted: Any) -> str:
        known = [instance(), community(), link("a"), identity("a", 17)]
        return message(of_instance(known, *things, wanted=Wanted(revisions={17: "r17"}, **wanted)), "Reconciling")

    behind, done = report(), report(state(17, "r17"))
    assert waits_for(asleep, behind, failures=unwritten) == (
        "not written: Secret mcs-users-03: Forbidden; Service mcs: Conflict"
    )
    assert waits_for(asleep, behind, untaken=missed) == "waiting for the media container: CrashLoopBackOff"
    assert waits_for(behind, done) == (
        "waiting for the media container: the pod does not exist yet; if that lasts, "
        "`kubectl describe statefulset mcs` says why"
    )
    assert waits_for(pod(), behind, untaken=missed) == "1 slots are not programmed yet"
    assert waits_for(pod(), done, untaken=missed) == missed
    assert waits_for(pod(), done) == ""


def test_defects_are_told_with_what_goes_on_and_what_to_do() -> None:
    status = of_instance(SERVED, wanted=Wanted(revisions={}, defects=("the quota: KeyError", "the volume: KeyError")))
    assert message(status, "Stalled") == (
        "the quota: KeyError; the volume: KeyError. What runs goes on, and what does not depend on it is done; "
        "please report this with the operator's log"
    )


def test_without_a_pod_the_media_is_not_ready() -> None:
    status = of_instance(instance())
    assert conditions(status)["Ready"] == ("False", "MediaNotReady")
    assert message(status, "Ready") == (
        "the pod does not exist yet; if that lasts, `kubectl describe statefulset mcs` says why"
    )
    assert "podUID" not in status


def test_a_suspended_instance_is_as_declared_once_its_pod_is_gone() -> None:
    served = [instance(suspend=True), community(), link("a"), identity("a", 17)]
    found = conditions(of_instance(served))
    assert found["Ready"] == ("True", "Suspended")
    assert found["Reconciling"] == ("False", "Reconciled")
    going = pod(terminating=True, media_ready=False, media_problem="the pod is being stopped")
    found = conditions(of_instance(served, going))
    assert found["Ready"] == ("False", "MediaNotReady")
    assert found["Reconciling"] == ("True", "Progressing")


def test_why_the_media_is_not_ready_is_told_in_the_kubelets_words() -> None:
    status = of_instance(instance(), pod(media_ready=False, media_problem="ImagePullBackOff: no such image"))
    assert message(status, "Ready") == "ImagePullBackOff: no such image"


def test_what_nobody_confirms_is_not_known() -> None:
    """Of a node that is cut off the kubelet's last word stands for ever: Ready=True, Serving was told for hours."""
    status = of_instance(SERVED)
    assert conditions(status)["Ready"] == ("Unknown", "AgentUnreachable")
    assert conditions(status)["Reconciling"] == ("True", "Progressing")
    assert message(status, "Reconciling") == message(status, "Ready")


def test_an_agent_of_which_the_kubelet_says_that_it_is_not_ready_makes_nobody_doubt_the_kubelet() -> None:
    crashed = [instance(), community(), link("a"), identity("a", 17), pod(agent_ready=False)]
    assert conditions(of_instance(crashed))["Ready"] == ("True", "Serving")


def test_a_media_container_that_is_not_ready_is_so_whoever_answers() -> None:
    for agent in ([report()], []):
        status = of_instance(instance(), pod(media_ready=False, media_problem="why"), agent)
        assert conditions(status)["Ready"] == ("False", "MediaNotReady")


def test_slots_whose_image_cannot_be_had_stall_the_instance_and_if_none_runs_it_is_not_ready() -> None:
    """It said Ready=True, Serving, while not one customer could connect."""
    status = of_instance(SERVED[:-1], pod(slots_lack="mcs/link:9"), report())
    found = conditions(status)
    assert (found["Stalled"], found["Ready"]) == (("True", "SlotsNotRunning"), ("False", "SlotsNotRunning"))
    assert "mcs/link:9" in message(status, "Stalled")
    assert found["Reconciling"] == ("False", "Reconciled"), "else Flux and Argo CD would wait for ever"


def test_of_slots_without_their_image_the_pull_secret_that_is_missing_is_named_first() -> None:
    """Else a pipeline fails at the first pull, before the tool that brings the Secret has had its time."""
    world = SERVED[:-1], pod(slots_lack="mcs/link:9"), report()
    status = of_instance(*world, missing_pull_secrets={"mcs": ("registry",)})
    found = conditions(status)
    assert (found["Reconciling"], found["Stalled"]) == (("True", "PullSecretNotFound"), ("False", "NotStalled"))
    assert found["Ready"] == ("False", "SlotsNotRunning")
    assert "mcs/link:9" in message(status, "Ready")


def test_where_some_slots_run_the_others_stall_the_instance_and_it_is_ready() -> None:
    found = conditions(of_instance(SERVED[:-1], pod(slots_lack="mcs/link:9", slots_run=True), report()))
    assert (found["Ready"], found["Stalled"]) == (("True", "Serving"), ("True", "SlotsNotRunning"))


def test_a_window_that_never_comes_stalls_the_instance_which_goes_on_serving() -> None:
    """Stored while no admission was there to refuse it."""
    never = {"windows": [{"schedule": "0 2 30 2 *", "duration": "2h"}]}
    status = of_instance(instance(disruptions=never), pod(), report())
    found = conditions(status)
    assert (found["Stalled"], found["Ready"]) == (("True", "WindowInvalid"), ("True", "Serving"))
    assert "spec.disruptions.windows[0].schedule: 0 2 30 2 *: there is no such" in message(status, "Stalled")


def test_an_instance_without_its_ca_stalls_and_goes_on_serving() -> None:
    found = conditions(of_instance(SERVED, report(state(17, "r17")), ca=False))
    assert (found["Stalled"], found["Ready"]) == (("True", "IdentityLost"), ("True", "Serving"))


def test_an_override_below_the_tier_is_named() -> None:
    small = instance()
    status = of_instance(small, wanted=Wanted(revisions={}, sizing=size(small)))
    assert conditions(status)["Sized"] == ("False", "BelowTier")
    assert "limits.cpu is 1" in message(status, "Sized")


GIVEN = Size({"cpu": "1", "memory": "1Gi"}, {"cpu": "2", "memory": "2Gi"})


@pytest.mark.parametrize(
    ("said", "told"),
    [
        pytest.param({"cpuMillicores": 2000, "memoryBytes": 2 * 1024**3}, "", id="all of it"),
        pytest.param({"memoryBytes": 2 * 1024**3}, "", id="the memory, and the rest does not matter to it"),
        pytest.param({}, "", id="nothing of it matters to it"),
        pytest.param(
            {"memoryBytes": 1024**3},
            "the appliance is laid out for 1073741824 bytes of memory of 2147483648 until its container starts anew",
            id="less than it has",
        ),
        pytest.param(
            None,
            "media image mcs:1, or the link agent of this pod, does not say for which size it is laid out",
            id="it does not say",
        ),
    ],
)
def test_for_which_size_the_appliance_is_laid_out_is_told_where_it_is_not_the_one_it_has(said: Any, told: str) -> None:
    running = pod(image="mcs:1", size_in_force=GIVEN)
    status = of_instance(instance(), running, report(media=MediaState(size=said)))
    assert conditions(status)["Sized"] == ("True", "AsTier")
    assert message(status, "Sized") == told


def test_nothing_is_said_of_a_size_while_the_appliance_is_silent() -> None:
    for things in ((pod(size_in_force=GIVEN), report()), (pod(size_in_force=GIVEN),), (report(media=MediaState()),)):
        assert message(of_instance(instance(), *things), "Sized") == ""


def test_a_second_instance_is_told_who_has_the_namespace() -> None:
    world = given(instance(age=9), instance("second", generation=7))
    status = told(world, Kind.INSTANCE, "second")
    found = conditions(status)
    assert found["Accepted"] == found["Ready"] == ("False", "NamespaceOccupied")
    assert found["Stalled"] == ("True", "NamespaceOccupied")
    assert "'mcs'" in message(status, "Accepted")
    assert status["observedGeneration"] == 7


# --- communities ---


def test_a_community_counts_its_users_by_function() -> None:
    status = of_community(instance(), community(users=["a", {"name": "b", "functions": ["DesktopSharing"]}]))
    assert conditions(status)["Ready"] == ("True", "Served")
    assert status["users"] == {"served": 2, "notServed": 0, "audio": 1, "chat": 1, "desktopSharing": 1}


def test_a_disabled_community_is_ready_and_serves_nobody() -> None:
    status = of_community(instance(), community(users=("a",), enabled=False))
    assert conditions(status)["Ready"] == ("True", "Disabled")
    assert status["users"]["served"] == 0


def test_a_community_waits_for_its_instance() -> None:
    found = conditions(of_community(community()))
    assert found["Accepted"] == found["Ready"] == ("False", "InstanceNotFound")
    assert found["Reconciling"] == ("True", "Progressing")


@pytest.mark.parametrize(
    ("text", "reason", "stalled", "reconciling"),
    [
        pytest.param(None, "UsersNotFound", "False", "True", id="a file that may still come is waited for"),
        pytest.param("[{", "UsersInvalid", "True", "False", id="a file that does not parse waits for the user"),
    ],
)
def test_a_file_that_cannot_be_taken(text: str | None, reason: str, stalled: str, reconciling: str) -> None:
    files = [users_file("staff", text)] if text else []
    found = conditions(of_community(instance(), community(usersFrom=[{"configMapRef": {"name": "staff"}}]), files))
    assert found["Ready"] == ("False", reason)
    assert found["Accepted"] == ("True", "Accepted")
    assert (found["Stalled"][0], found["Reconciling"][0]) == (stalled, reconciling)


def test_users_beyond_the_tier_are_counted_at_their_community() -> None:
    status = of_community(
        instance(),
        community("big", age=9, users=[f"u{n}" for n in range(999)]),
        community(users=("in", "out")),
    )
    assert conditions(status)["Ready"] == ("False", "TierExceeded")
    assert status["users"] == {"served": 1, "notServed": 1, "audio": 1, "chat": 1}


def test_a_community_whose_users_could_not_be_written_waits_and_says_why() -> None:
    """With a quota that forbids the Secret it said Ready, Served."""
    wanted = Wanted(revisions={}, unwritten={"acme": "Secret mcs-users-03: Forbidden: exceeded quota"})
    world = given(instance(), community(users=("a",)), community("beta", users=("b",)))
    status = told(world, Kind.COMMUNITY, "acme", wanted)
    found = conditions(status)
    assert found["Ready"] == ("False", "Pending")
    assert (found["Reconciling"][0], found["Stalled"][0]) == ("True", "False")
    assert message(status, "Ready") == (
        "not written: Secret mcs-users-03: Forbidden: exceeded quota; what was served before still is"
    )
    assert conditions(told(world, Kind.COMMUNITY, "beta", wanted))["Ready"] == ("True", "Served")


def test_what_is_wrong_with_the_lists_is_told_before_what_could_not_be_written() -> None:
    wanted = Wanted(revisions={}, unwritten={"acme": "why"})
    missing = community(users=("a",), usersFrom=[{"configMapRef": {"name": "staff"}}])
    status = told(given(instance(), missing), Kind.COMMUNITY, "acme", wanted)
    assert conditions(status)["Ready"] == ("False", "UsersNotFound")


# --- all ---


@pytest.mark.parametrize("kind", list(Kind))
def test_an_object_that_cannot_be_read_is_told_field_and_value(kind: Kind) -> None:
    world = given(
        instance("other"), Unreadable(kind, "strange", 4, "spec.tier: 'Huge': not one of UpTo1000, UpTo10000")
    )
    status = told(world, kind, "strange")
    found = conditions(status)
    assert found["Accepted"] == found["Ready"] == ("False", "InvalidSpec")
    assert found["Stalled"] == ("True", "InvalidSpec")
    assert "spec.tier: 'Huge'" in message(status, "Ready")
    assert status["observedGeneration"] == 4


def test_every_object_of_the_namespace_gets_a_status() -> None:
    world = given(instance(), instance("second"), community(), community("x", instance="y"), links(3))
    assert len(all_statuses(world, decide(world), WANTED)) == 7


def test_every_status_says_which_generation_it_is_about() -> None:
    world = given(instance(), instance("second"), community(), community("x", instance="y"), links(3))
    assert all("observedGeneration" in status for status in all_statuses(world, decide(world), WANTED).values())


def test_the_same_world_a_moment_later_is_told_the_same() -> None:
    """Otherwise every reconciliation would write every status."""
    world = given(SERVED, link("b", community="nobody"), report(state(17, "r17")))
    first = all_statuses(world, decide(world), WANTED)
    later = given(
        SERVED,
        link("b", community="nobody"),
        report(state(17, "r17")),
        now=NOW + timedelta(minutes=5),
        conditions={key: status["conditions"] for key, status in first.items()},
    )
    assert all_statuses(later, decide(later), WANTED) == first


def test_a_report_of_slots_that_nobody_has_changes_nothing() -> None:
    quiet = report(state(17, "r17"))
    noisy = LinkReport(epoch="e", version=2, links=[*quiet.links, state(99, "r99", tunnel=DOWN)])
    assert of_link(SERVED, quiet) == of_link(SERVED, noisy)


# --- what is damaged, and what is not the operator's ---

COPY = Damaged("Secret", "acme-backup-profile", "is a copy of Secret acme-profile", foreign=True)
TORN = Damaged("Secret", "mcs-agent", "cannot be read: token missing, too long or no text")


def test_a_copy_is_named_and_is_no_reason_to_stall() -> None:
    status = of_instance(SERVED, ignored=(COPY,))
    assert conditions(status)["Stalled"] == ("False", "ObjectsIgnored")
    assert "Secret acme-backup-profile is a copy of Secret acme-profile" in message(status, "Stalled")
    assert conditions(status)["Ready"] == conditions(of_instance(SERVED))["Ready"]


@pytest.mark.parametrize(("count", "more"), [(1, ""), (3, ""), (4, "; and 1 more"), (250, "; and 247 more")])
def test_of_many_copies_three_are_named_and_the_others_counted(count: int, more: str) -> None:
    copies = tuple(replace(COPY, name=f"copy-{number}-profile") for number in range(count))
    text = message(of_instance(SERVED, ignored=copies), "Stalled")
    assert text.count("Secret copy-") == min(count, 3)
    assert text == message(of_instance(SERVED, ignored=copies[::-1]), "Stalled"), "whatever order a restart brings"
    named = [
        f"Secret copy-{number}-profile is a copy of Secret acme-profile" for number in sorted(range(count), key=str)
    ]
    assert text == f"not taken for the operator's, and without effect: {'; '.join(named[:3])}{more}"


def test_damage_stalls_its_instance_unless_it_is_mended_in_this_very_pass() -> None:
    status = of_instance(SERVED, damaged_objects=(TORN,), ignored=(COPY,))
    assert conditions(status)["Stalled"] == ("True", "ObjectDamaged")
    assert message(status, "Stalled") == f"{TORN}; restore it from the backup, or delete it"
    mended = Wanted(revisions={}, rendered=frozenset({"Secret mcs-agent"}))
    assert conditions(of_instance(SERVED, damaged_objects=(TORN,), wanted=mended))["Stalled"] == ("False", "NotStalled")


def test_a_pull_secret_that_is_not_there_is_named_with_the_place_that_names_it() -> None:
    own = instance(imagePullSecrets=[{"name": "media"}, {"name": "there"}])
    status = of_instance([own, community(), pod(), report()], missing_pull_secrets={"mcs": ("chart", "media")})
    assert conditions(status)["Reconciling"] == ("True", "PullSecretNotFound"), "it may still come"
    text = message(status, "Reconciling")
    assert "spec.imagePullSecrets: media: no such Secret in this namespace" in text
    assert "mediaPod.imagePullSecrets of the operator's chart: chart: no such Secret" in text
    assert "there:" not in text
    assert conditions(status)["Ready"] == ("True", "Serving"), "the pod that runs does not need it"


def test_a_name_that_is_taken_from_the_instance_stalls_it_before_anything_milder() -> None:
    wanted = Wanted(revisions={}, foreign=("Secret mcs-ca exists without label x",))
    status = of_instance(SERVED, damaged_objects=(TORN,), wanted=wanted)
    assert conditions(status)["Stalled"] == ("True", "NameTaken")
    assert "Secret mcs-ca" in message(status, "Stalled")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "Secret mcs-ca with the CA is gone"),
        ({"unlabelled": {"mcs-ca": "x=y"}}, "Secret mcs-ca exists without label x=y"),
        ({"damaged_objects": (replace(TORN, name="mcs-ca"),)}, "Secret mcs-ca cannot be read: token"),
        ({"ignored": (TORN, replace(TORN, name="mcs-ca", why="is a copy"))}, "Secret mcs-ca is a copy; put it right"),
    ],
)
def test_of_a_ca_that_is_missed_it_is_said_whether_it_is_gone(more: dict[str, Any], said: str) -> None:
    status = of_instance(SERVED, ca=False, **more)
    assert conditions(status)["Stalled"] == ("True", "IdentityLost")
    assert said in message(status, "Stalled")
    assert ("is gone" in message(status, "Stalled")) is (not more)
    assert message(status, "Stalled").endswith(". Nothing is minted anew because every TVox would need a new profile")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "Secret a-profile is gone, or older"),
        ({"unlabelled": {"a-profile": "x=y"}}, "Secret a-profile exists without label x=y"),
        ({"damaged": (DamagedProfile("a", "mcs", 17, "has a certificate of another"),)}, "Secret a-profile has a cert"),
    ],
)
def test_of_a_profile_that_is_missed_it_is_said_whether_it_is_gone(more: dict[str, Any], said: str) -> None:
    status = told(given(instance(), community(), link("a"), slot(17, "a"), **more), Kind.LINK, "a")
    assert conditions(status)["Stalled"] == ("True", "ProfileLost")
    assert said in message(status, "Stalled")
    assert ("is gone" in message(status, "Stalled")) is (not more)


def test_several_things_of_one_kind_are_told_one_after_the_other() -> None:
    where = Where(23000, "198.18.99.0/24", "mcs.test")
    its_profile, its_slot = identity("a", 17)
    things = [instance(), community(), link("a"), replace(its_profile, where=where), its_slot, pod()]
    wanted = Wanted(
        revisions={17: "r17"},
        failures=("Secret one", "Secret two"),
        rollout=Rollout(Step.WAIT_TO_BE_ASKED, ("image", "slots")),
    )
    status = told(given(things), Kind.INSTANCE, "mcs", wanted)
    assert message(status, "Reconciling") == "not written: Secret one; Secret two"
    assert "which differs in: image, slots. It goes on" in message(status, "RestartPending")
    port = messages.profiles_differ("spec.vpn.basePort", "21000", "23000", 1)
    network = messages.profiles_differ("spec.vpn.cidr", "198.18.254.0/24", "198.18.99.0/24", 1)
    assert message(status, "Stalled") == f"{port}. {network}"


# --- disruptions and interruptions ---

NIGHT = {"windows": [{"schedule": "0 2 * * *", "duration": "2h"}]}
TO_COME = Disruption(
    Cause.SPEC_CHANGED, Impact.RESTART, "spec changed", NOW, planned=NOW + timedelta(hours=14), links=12
)


def rolled(rollout: Rollout, **more: Any) -> dict[str, Any]:
    return of_instance(SERVED, report(), wanted=Wanted(revisions={}, rollout=rollout), **more)


def test_what_waits_for_its_hour_is_in_the_list_with_the_time() -> None:
    waits = "waits for the window that begins at 2026-03-02T02:00:00Z"
    status = rolled(Rollout(Step.WAIT_FOR_GATE, disruptions=(TO_COME,), waits=waits))
    assert status["disruptions"] == [
        {
            "cause": "SpecChanged",
            "impact": "Restart",
            "message": "spec changed",
            "since": "2026-03-01T12:00:00Z",
            "plannedFor": "2026-03-02T02:00:00Z",
            "links": 12,
        }
    ]
    assert conditions(status)["RestartPending"] == ("True", "Waiting")
    assert message(status, "RestartPending") == f"spec changed; {waits}"


def test_an_update_that_nobody_notices_is_told_when_it_cannot_go_on() -> None:
    status = rolled(Rollout(Step.CANNOT_PULL, waits="node a cannot pull link:2: not found"))
    assert conditions(status)["RestartPending"] == ("True", "ImageNotPulled")
    assert message(status, "RestartPending") == "node a cannot pull link:2: not found"
    status = rolled(Rollout(Step.NOTHING, waits="the link agent is not ready"))
    assert conditions(status)["RestartPending"] == ("True", "Waiting")


def test_what_has_begun_is_told_with_the_time_at_which_it_began() -> None:
    begun = NOW - timedelta(seconds=40)
    status = rolled(Rollout(Step.KEEP_DRAINING, disruptions=(TO_COME,), current=TO_COME, since=begun))
    assert status["disruptions"][0]["plannedFor"] == "2026-03-01T11:59:20Z"


def test_of_what_waits_until_nobody_talks_no_time_is_told() -> None:
    status = rolled(Rollout(Step.WAIT_FOR_GATE, disruptions=(replace(TO_COME, planned=None, links=0),), waits="waits"))
    assert {"plannedFor", "links"}.isdisjoint(status["disruptions"][0])


def test_the_ledger_is_told_the_newest_first() -> None:
    first = Interruption(1, "MediaImage", NOW - timedelta(days=1), NOW, connections=2, before="mcs:1", after="mcs:2")
    second = Interruption(2, "SpecChanged", NOW, links=12)
    status = rolled(Rollout(Step.NOTHING), noted=dict([first.annotation, second.annotation]))
    assert status["interruptions"] == [
        {"number": 2, "cause": "SpecChanged", "begun": "2026-03-01T12:00:00Z", "connections": 0, "links": 12},
        {
            "number": 1,
            "cause": "MediaImage",
            "begun": "2026-02-28T12:00:00Z",
            "over": "2026-03-01T12:00:00Z",
            "connections": 2,
            "links": 0,
            "before": "mcs:1",
            "after": "mcs:2",
        },
    ]
    MCSInstanceStatus.model_validate(status)


def test_where_there_is_none_nothing_is_said() -> None:
    """An empty list would be one write for each instance."""
    assert {"disruptions", "interruptions"}.isdisjoint(of_instance(SERVED, report()))
