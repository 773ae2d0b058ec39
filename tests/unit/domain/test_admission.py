"""What admission refuses and warns of: rules about several objects, at their edges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from mcs_operator.api.base import MAX_NAME
from mcs_operator.api.conditions import Kind
from mcs_operator.contract.openvpn import Where
from mcs_operator.domain.admission import WARNING_LIMIT, Answer, Object, Operation, Request, review, unwatched
from mcs_operator.domain.facts.networks import Network
from mcs_operator.domain.facts.world import Profile, SlotSecret
from mcs_operator.domain.pod.prediction import Resizing
from mcs_operator.domain.rules.costs import LOADED_ANEW
from support.objects import a_community, a_link, an_instance
from support.worlds import NOW, profile, slot

HERE, THERE = "demo", "other"


@dataclass
class Known:
    """A cluster made by hand: objects by namespace, slots by number."""

    objects: dict[str, list[Object]] = field(default_factory=dict)
    held: dict[int, str] = field(default_factory=dict)
    known: list[Profile | SlotSecret] = field(default_factory=list)
    cluster: list[Network] = field(default_factory=list)
    owned_elsewhere: set[str] = field(default_factory=set)
    sizes: Resizing = field(default_factory=Resizing)
    missing: set[str] = field(default_factory=set)

    def find(self, kind: Kind, namespace: str, name: str) -> Object | None:
        return next((body for body in self._of(namespace, kind) if body["metadata"]["name"] == name), None)

    def instances(self, namespace: str | None = None) -> Iterator[Object]:
        for name in [namespace] if namespace else list(self.objects):
            yield from self._of(name, "MCSInstance")

    def communities(self, namespace: str) -> Iterator[Object]:
        return self._of(namespace, "Community")

    def links(self, namespace: str) -> Iterator[Object]:
        return self._of(namespace, "TVoxLink")

    def domain_holders(self, namespace: str, domain: str) -> Iterator[tuple[Kind, str]]:
        for body in self.objects.get(namespace, []):
            if domain in (body["spec"].get("domain"), body["spec"].get("portalDomain")):
                yield Kind(body["kind"]), body["metadata"]["name"]

    def is_domain_owned_elsewhere(self, namespace: str, domain: str, kind: Kind, name: str) -> bool:
        return domain in self.owned_elsewhere

    def slots(self, namespace: str, instance: str) -> Mapping[int, str]:
        return self.held

    def has_certificate(self, namespace: str, name: str) -> bool:
        return name not in self.missing

    def has_users_file(self, namespace: str, kind: str, name: str) -> bool:
        return f"{kind}/{name}" not in self.missing

    def has_passwords(self, namespace: str, community: str, name: str) -> bool:
        return f"{name} of {community}" not in self.missing

    def has_secret(self, namespace: str, name: str) -> bool:
        return f"Secret/{name}" not in self.missing

    def has_service(self, namespace: str, name: str) -> bool:
        return f"Service/{name}" not in self.missing

    def resizing(self) -> Resizing:
        return self.sizes

    def networks(self) -> list[Network]:
        return self.cluster

    def identities(self, namespace: str, instance: str) -> list[Profile | SlotSecret]:
        return [identity for identity in self.known if identity.instance == instance]

    def _of(self, namespace: str, kind: str) -> Iterator[Object]:
        return (body for body in self.objects.get(namespace, []) if body["kind"] == kind)


def cluster(*here: Any, there: Sequence[Any] = (), held: Mapping[int, str] | None = None) -> Known:
    bodies = {HERE: list(here), THERE: list(there)}
    for namespace, listed in bodies.items():
        for body in listed:
            body["metadata"]["namespace"] = namespace
    return Known(dict(bodies), dict(held or {}))


def created(body: Any, known: Known) -> Answer:
    name = body["metadata"]["name"]
    return review(Request(Kind(body["kind"]), Operation.CREATE, HERE, name, body), known, NOW)


def changed(old: Any, new: Any, known: Known) -> Answer:
    name = new["metadata"]["name"]
    return review(Request(Kind(new["kind"]), Operation.UPDATE, HERE, name, new, old), known, NOW)


def many(count: int, **more: Any) -> list[Any]:
    return [a_link(f"c{n:03d}", **more) for n in range(count)]


MCS, ACME = an_instance(), a_community()
WIDE = an_instance(vpn={"slots": 250})


def test_the_250th_link_is_let_in_and_the_251st_is_not() -> None:
    assert created(a_link("new"), cluster(MCS, ACME, *many(249))).refusals == ()
    (refusal,) = created(a_link("new"), cluster(MCS, ACME, *many(250))).refusals
    assert refusal == (
        "spec.instanceRef.name: mcs: the instance has 250 of at most 250 TVoxLinks; delete one, or use another instance"
    )


def test_one_of_251_links_may_still_be_changed() -> None:
    links = many(251)
    assert changed(links[250], a_link("c250", protocol="TCP"), cluster(MCS, ACME, *links)).refusals == ()


def test_links_of_another_instance_do_not_count() -> None:
    assert created(a_link("new"), cluster(MCS, ACME, *many(250, instance="gone"))).refusals == ()


# --- portals ---


def a_portal(name: str = "acme", domain: str | None = "meet.acme.test", source: str = "p", **more: Any) -> Any:
    sources = [{"secretRef": {"name": source}}] if source else []
    spec = {"authentication": {"passwordsFrom": sources}} | ({"portalDomain": domain} if domain else {})
    return a_community(name, **spec | more)


def test_a_portal_with_a_name_and_passwords_of_its_own_is_let_in_without_a_word() -> None:
    assert created(a_portal(), cluster(MCS, ACME)) == Answer()


@pytest.mark.parametrize("domain", ["mcs.test", "a.mcs.test", "meet.globex.test", "x.test"])
def test_a_portals_name_is_nobody_elses(domain: str) -> None:
    known = cluster(MCS, ACME, a_link("a"), a_portal("globex", "meet.globex.test"))
    known.owned_elsewhere = {"x.test"}
    said = (
        f"spec.portalDomain: {domain} is in use, and a public name belongs to one object of the cluster; choose another"
    )
    assert created(a_portal("new", domain), known).refusals == (said,)
    assert changed(ACME, a_portal("acme", domain), known).refusals == (said,)


def test_nobody_takes_the_name_of_a_portal() -> None:
    known = cluster(MCS, a_portal())
    for body in (a_link("new", domain="meet.acme.test"), an_instance("mcs", domain="meet.acme.test")):
        assert any("meet.acme.test is in use" in refusal for refusal in created(body, known).refusals)


def test_who_keeps_a_portals_name_that_is_contested_may_change_all_else() -> None:
    known = cluster(MCS, a_portal())
    known.owned_elsewhere = {"meet.acme.test"}
    assert changed(a_portal(), a_portal(displayName="Acme"), known) == Answer()


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        pytest.param(None, a_portal(source=""), "nobody can log in at meet.acme.test yet", id="without passwords"),
        pytest.param(None, a_portal(domain=None), "spec.portalDomain: is not set", id="passwords without a portal"),
        pytest.param(
            None,
            a_community(tls={"secretRef": {"name": "t"}}),
            "spec.portalDomain: is not set",
            id="a certificate without a portal",
        ),
        pytest.param(
            a_portal(), a_portal(domain="meet.test"), "people log in at meet.test from now on", id="another name"
        ),
        pytest.param(a_portal(), a_community(), "people log in nowhere any more", id="no portal any more"),
    ],
)
def test_what_may_not_be_meant_is_told_and_let_in(before: Any, after: Any, words: str) -> None:
    known = cluster(MCS, ACME)
    answer = created(after, known) if before is None else changed(before, after, known)
    assert answer.refusals == ()
    (warning,) = answer.warnings
    assert words in warning


def test_a_change_of_something_else_repeats_no_warning() -> None:
    without = a_portal(source="")
    assert changed(without, a_portal(source="", displayName="Acme"), cluster(MCS, without)) == Answer()


# --- windows ---

NEVER = {"windows": [{"schedule": "0 2 30 2 *", "duration": "2h"}]}


def test_a_window_that_never_comes_is_refused() -> None:
    (refusal,) = created(an_instance(disruptions=NEVER), cluster()).refusals
    assert refusal.startswith("spec.disruptions.windows[0].schedule: 0 2 30 2 *: there is no such day-of-month")
    assert changed(MCS, an_instance(disruptions=NEVER), cluster(MCS)).refusals == (refusal,)


def test_who_has_one_already_may_change_everything_else() -> None:
    stored = an_instance(disruptions=NEVER)
    assert changed(stored, an_instance(disruptions=NEVER, drainSeconds=7), cluster(stored)).refusals == ()
    assert changed(stored, an_instance(disruptions={}), cluster(stored)).refusals == ()


def test_what_waits_for_its_hour_is_warned_of_with_the_time() -> None:
    night = {"windows": [{"schedule": "0 2 * * *", "duration": "2h"}]}
    stored, wanted = an_instance(disruptions=night), an_instance(disruptions=night, vpn={"slots": 8})
    planned, costs = changed(stored, wanted, cluster(stored)).warnings
    assert planned == (
        "spec.disruptions: what is to restart waits for the window that begins at 2026-03-02T02:00:00Z; until then "
        "nothing is interrupted"
    )
    assert costs == "spec.vpn.slots: the media pod drains and restarts, 0 customers are interrupted"
    hot = an_instance(disruptions=night, drainSeconds=7)
    assert changed(stored, hot, cluster(stored)).warnings == ()


TAKEN = "spec.domain: x.mcs.test is in use, and a public name belongs to one object of the cluster; choose another"


def test_a_domain_belongs_to_one_object_of_the_cluster_and_nobody_is_told_whose_it_is() -> None:
    near = cluster(MCS, ACME, a_link("first", domain="x.mcs.test"))
    assert created(a_link("new", domain="x.mcs.test"), near).refusals == (TAKEN,)
    far = cluster(MCS, ACME)
    far.owned_elsewhere.add("x.mcs.test")
    assert created(a_link("new", domain="x.mcs.test"), far).refusals == (TAKEN,), "nor in which namespace"
    assert created(a_link("new", domain="mcs.test"), cluster(MCS, ACME)).refusals


def test_a_wish_in_another_namespace_refuses_nobody() -> None:
    squatter = cluster(MCS, ACME, there=[a_link("squats", domain="x.mcs.test")])
    assert created(a_link("new", domain="x.mcs.test"), squatter).refusals == ()


def test_a_link_may_keep_its_own_name_and_domain() -> None:
    known = cluster(MCS, ACME, a_link("acme", domain="x.mcs.test"))
    before = a_link("acme", domain="y.mcs.test")
    assert changed(before, a_link("acme", domain="x.mcs.test"), known).refusals == ()
    assert created(a_link("acme", domain="x.mcs.test"), known).refusals == ()


def test_who_shares_a_domain_already_may_change_something_else() -> None:
    one, two = a_link("one", domain="x.mcs.test"), a_link("two", domain="x.mcs.test")
    after = a_link("two", domain="x.mcs.test", enabled=False)
    assert changed(two, after, cluster(MCS, ACME, one, two)).refusals == ()


@pytest.mark.parametrize("address", ["198.18.254.17", "198.18.254.18"])
def test_an_address_is_one_links_by_its_slot_or_by_its_wish(address: str) -> None:
    known = cluster(WIDE, ACME, a_link("wishes", vpnAddress="198.18.254.18"), held={17: "holds"})
    (refusal,) = created(a_link("new", vpnAddress=address), known).refusals
    assert refusal == f"spec.vpnAddress: {address} is used by another TVoxLink of this instance; choose another"
    assert created(a_link("holds", vpnAddress="198.18.254.17"), known).refusals == ()
    assert created(a_link("wishes", vpnAddress="198.18.254.18"), known).refusals == ()
    assert created(a_link("new", vpnAddress="198.18.254.19"), known).refusals == (), "one that nobody has"


def test_an_address_is_asked_about_when_it_changes_and_not_otherwise() -> None:
    known = cluster(WIDE, ACME, held={17: "holds"})
    mine, theirs = a_link("mine", vpnAddress="198.18.254.18"), a_link("mine", vpnAddress="198.18.254.17")
    assert changed(mine, theirs, known).refusals
    assert changed(a_link("mine"), theirs, known).refusals
    assert changed(theirs, a_link("mine", vpnAddress="198.18.254.17", enabled=False), known).refusals == ()


def test_an_address_is_kept_for_a_link_that_may_come_back_and_by_it() -> None:
    known = cluster(WIDE, ACME)
    known.known = [profile("gone", 17)]
    (refusal,) = created(a_link("new", vpnAddress="198.18.254.17"), known).refusals
    assert refusal.startswith("spec.vpnAddress: 198.18.254.17 is kept for a TVoxLink that was deleted")
    assert "gone" not in refusal
    assert created(a_link("gone", vpnAddress="198.18.254.17"), known).refusals == ()
    assert created(a_link("gone"), known).refusals == ()
    (refusal,) = created(a_link("gone", vpnAddress="198.18.254.18"), known).refusals
    assert refusal.startswith("spec.vpnAddress: 198.18.254.18 is asked for, but the link has 198.18.254.17")


def test_an_address_that_is_wished_for_under_another_instance_is_free() -> None:
    known = cluster(WIDE, ACME, a_link("wishes", instance="gone", vpnAddress="198.18.254.18"))
    assert created(a_link("new", vpnAddress="198.18.254.18"), known).refusals == ()


def test_an_address_is_in_the_instances_network() -> None:
    (refusal,) = created(a_link("new", vpnAddress="10.0.0.17"), cluster(MCS, ACME)).refusals
    assert refusal.startswith("spec.vpnAddress: 10.0.0.17 is not between 198.18.254.2 and 198.18.254.251")


def test_an_instances_own_network_is_the_one_that_counts() -> None:
    known = cluster(an_instance(vpn={"cidr": "198.18.9.0/24"}), ACME)
    assert created(a_link("new", vpnAddress="198.18.9.17"), known).refusals == ()
    (refusal,) = created(a_link("new", vpnAddress="198.18.254.17"), known).refusals
    assert refusal.startswith("spec.vpnAddress: 198.18.254.17 is not between 198.18.9.2 and 198.18.9.251")


def test_an_address_above_the_slots_is_refused_but_for_the_link_that_has_it() -> None:
    known = cluster(an_instance(vpn={"slots": 15}), ACME)
    (refusal,) = created(a_link("new", vpnAddress="198.18.254.17"), known).refusals
    assert refusal.startswith("spec.vpnAddress: 198.18.254.17 is not between 198.18.254.2 and 198.18.254.16")
    assert created(a_link("new", vpnAddress="198.18.254.16"), known).refusals == ()
    known.known = [profile("gone", 17)]
    assert created(a_link("gone", vpnAddress="198.18.254.17"), known).refusals == ()


def slot_warnings(answer: Answer) -> list[str]:
    return [warning for warning in answer.warnings if "slots" in warning]


def test_a_link_that_waits_for_a_slot_is_warned_of_it() -> None:
    six = [a_link(f"c{number}") for number in range(6)]
    (warning,) = slot_warnings(created(a_link("new"), cluster(MCS, ACME, *six)))
    assert warning.startswith("spec.instanceRef.name: mcs: none of the instance's 6 slots (spec.vpn.slots) is free; ")
    assert warning.endswith("; the link waits")
    assert created(a_link("new"), cluster(MCS, ACME, *six)).refusals == (), "it gets the first that frees up"
    (last,) = slot_warnings(created(a_link("new"), cluster(MCS, ACME, *six[1:])))
    assert last.startswith("capacity: 6 of 6 TVoxLinks (100 %, 0 left); raise spec.vpn.slots (restarts the pod) or ")


def test_a_link_that_comes_back_to_its_number_is_not_said_to_wait() -> None:
    known = cluster(MCS, ACME, *(a_link(f"c{number}") for number in range(6)))
    known.known = [profile("gone", 17)]
    assert slot_warnings(created(a_link("gone"), known)) == []


def test_links_whose_number_is_above_the_slots_take_none() -> None:
    known = cluster(MCS, ACME, *(a_link(f"c{number}") for number in range(6)), held={17: "c5"})
    assert slot_warnings(created(a_link("new"), known)) == [
        "capacity: 6 of 6 TVoxLinks (100 %, 0 left); raise spec.vpn.slots (restarts the pod) or plan another instance"
    ]


@pytest.mark.parametrize("slots", [None, "many", 0, 10**9])
def test_slots_that_no_schema_of_ours_would_take_are_250(slots: Any) -> None:
    known = cluster(an_instance(vpn={"slots": slots}), ACME, *(a_link(f"c{number}") for number in range(6)))
    assert slot_warnings(created(a_link("new"), known)) == []
    assert created(a_link("new", vpnAddress="198.18.254.251"), known).refusals == ()


def test_what_a_link_waits_for_is_a_warning() -> None:
    answer = created(a_link("new"), cluster())
    assert answer.refusals == ()
    assert [warning.split(":")[0] for warning in answer.warnings] == ["spec.instanceRef.name", "spec.communityRef.name"]


def test_a_change_that_cuts_this_customer_is_a_warning() -> None:
    answer = changed(a_link("a"), a_link("a", enabled=False), cluster(MCS, ACME))
    assert answer.warnings == ("spec.enabled: this customer's tunnel stops, and stays down until it is true again",)


def test_what_goes_out_of_service_is_a_warning_once_and_names_no_interruption() -> None:
    out: dict[str, Any] = {"serviceState": "OutOfService"}
    known = cluster(MCS, ACME, a_link("a"), a_link("b"))
    go_on = "are refused; open ones and the tunnels go on"
    answer = changed(a_link("a"), a_link("a", **out), known)
    assert answer.warnings == (f"spec.serviceState: new sessions of this customer {go_on}",)
    answer = changed(MCS, an_instance(**out), known)
    assert answer.warnings == (f"spec.serviceState: new sessions of 2 customers {go_on}",)
    assert changed(an_instance(**out), MCS, known).warnings == ()
    assert changed(a_link("a", **out), a_link("a", domain="other.mcs.test", **out), known).warnings == ()


def keeping(**retention: str) -> Any:
    return an_instance(portals={"retention": retention})


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (MCS, keeping(chat="24h"), "chat: what is older than 24h is erased for good (until now 720h)"),
        (
            keeping(files="300h"),
            MCS,
            "files: what is older than 168h is erased for good (until now 300h), seven days from now",
        ),
        (keeping(files="300h"), keeping(files="299h60m"), ""),
        (MCS, keeping(chat="720h", files="169h"), ""),
        (MCS, an_instance(portals={"quota": "1Mi"}), ""),
    ],
)
def test_what_portals_erase_for_a_shorter_retention_is_a_warning(before: Any, after: Any, words: str) -> None:
    warned = changed(before, after, cluster(MCS)).warnings
    assert warned == ((f"spec.portals.retention.{words}",) if words else ())


def test_a_change_that_makes_the_installed_profile_useless_is_a_warning_with_the_command_for_the_new_one() -> None:
    after = a_link("a", protocol="TCP")
    after["metadata"]["namespace"] = HERE
    assert changed(a_link("a"), after, cluster(MCS, ACME)).warnings == (
        f"spec.protocol: the TVox is cut off until its new profile is uploaded to it: kubectl mcs profile -n {HERE} a",
    )


def test_a_certificate_that_is_not_there_yet_is_a_warning_where_it_is_named() -> None:
    tls = {"secretRef": {"name": "no-such"}}
    for body, before in (
        (a_link("a", tls=tls), a_link("a")),
        (a_community(portalDomain="meet.acme.test", tls=tls), a_community(portalDomain="meet.acme.test")),
        (an_instance(tls=tls), an_instance()),
    ):
        known = cluster(MCS, ACME)
        assert "no-such" not in " ".join(changed(before, body, known).warnings)
        known.missing.add("no-such")
        (told,) = [text for text in changed(before, body, known).warnings if "no-such" in text]
        what = "no Secret 'no-such' of type kubernetes.io/tls in namespace demo yet"
        assert told == f"spec.tls.secretRef.name: {what}; what is served now goes on until it is there"
        assert "no-such" not in " ".join(changed(body, body, known).warnings), "it was told when it was named"


def test_an_account_for_certificates_that_is_not_there_yet_is_a_warning_where_it_is_named() -> None:
    acme = {"server": "https://acme.example.com/directory"}
    before, body = (an_instance(tls={"acme": acme | more}) for more in ({}, {"accountSecretRef": {"name": "no-such"}}))
    known = cluster(MCS, ACME)
    assert "no-such" not in " ".join(changed(before, body, known).warnings)
    known.missing.add("no-such")
    (told,) = [text for text in changed(before, body, known).warnings if "no-such" in text]
    assert told.endswith("no certificate is ordered until it is there")
    assert "no-such" not in " ".join(changed(body, body, known).warnings), "it was told when it was named"


SOLVERS = {"http01": {"serviceRef": {"name": "a"}}}
EXTERNAL = {
    "acme": {
        "server": "https://acme.example.com/directory",
        "externalAccountBinding": {"keyID": "me", "keySecretRef": {"name": "no-such"}},
    }
}


def test_a_ca_that_is_not_there_yet_is_a_warning_where_it_is_named() -> None:
    known, body = cluster(ACME), an_instance(vpn={"caSecretRef": {"name": "no-such"}})
    assert created(body, known).warnings == ()
    known.missing.add("no-such")
    (told,) = created(body, known).warnings
    assert told == (
        "spec.vpn.caSecretRef.name: no Secret 'no-such' of type kubernetes.io/tls in namespace demo yet; no profile is "
        "made until it is there"
    )


def test_a_service_of_solvers_that_is_not_there_yet_is_a_warning_where_it_is_named() -> None:
    tls = {"http01": {"serviceRef": {"name": "no-such"}}}
    before, body = an_instance(), an_instance(tls=tls)
    known = cluster(MCS, ACME)
    known.missing.add("Service/no-such")
    (told,) = changed(before, body, known).warnings
    assert told == (
        "spec.tls.http01.serviceRef.name: no Service 'no-such' in namespace demo yet; challenges are passed on when it "
        "is there"
    )
    assert changed(body, body | an_instance(tls=tls, bandwidth="200M"), known).warnings == (), "it was told"
    assert created(body, known).warnings == (told,)


@pytest.mark.parametrize(
    ("old", "new", "asked"),
    [
        pytest.param(None, an_instance(), set(), id="an instance that names none"),
        pytest.param(an_instance(), an_instance(tls=SOLVERS), {("Service", "a")}, id="named now"),
        pytest.param(an_instance(tls=SOLVERS), an_instance(), set(), id="named no more"),
        pytest.param(an_instance(tls=SOLVERS), an_instance(tls=SOLVERS, bandwidth="1G"), set(), id="named before"),
        pytest.param(None, an_instance(tls=EXTERNAL), {("Secret", "no-such")}, id="a key, at the creation"),
        pytest.param(
            an_instance(imagePullSecrets=[{"name": "a"}]),
            an_instance(imagePullSecrets=[{"name": "b"}, {"name": "a"}]),
            {("Secret", "b")},
            id="one pull secret more",
        ),
        pytest.param(None, a_link("a"), set(), id="a link"),
        pytest.param(None, an_instance(imagePullSecrets=7), set(), id="what does not parse"),
    ],
)
def test_somebody_looks_only_for_what_is_named_now_and_nobody_watches(old: Any, new: Any, asked: set[Any]) -> None:
    operation = Operation.UPDATE if old else Operation.CREATE
    assert unwatched(Request(Kind(new["kind"]), operation, HERE, "mcs", new, old)) == asked


def test_the_key_of_an_external_account_that_is_not_there_yet_is_a_warning_where_it_is_named() -> None:
    known = cluster(MCS, ACME)
    before, body = an_instance(), an_instance(tls=EXTERNAL)
    assert changed(before, body, known).warnings == ()
    known.missing.add("Secret/no-such")
    (told,) = changed(before, body, known).warnings
    assert told == (
        "spec.tls.acme.externalAccountBinding.keySecretRef.name: no Secret 'no-such' in namespace demo yet; no "
        "certificate is ordered until it is there"
    )
    assert changed(body, an_instance(tls=EXTERNAL, bandwidth="200M"), known).warnings == (), "it was told"


def test_a_pull_secret_that_is_not_there_yet_is_a_warning_where_it_is_named() -> None:
    known = cluster(MCS, ACME)
    known.missing |= {"Secret/old", "Secret/new"}
    names = [{"name": name} for name in ("there", "old", "new")]
    told = [
        text for text in changed(an_instance(), an_instance(imagePullSecrets=names), known).warnings if "no S" in text
    ]
    assert told == [
        f"spec.imagePullSecrets: no Secret {name!r} in namespace demo yet; images that need it are pulled when it is "
        "there"
        for name in ("new", "old")
    ]
    before, after = (an_instance(imagePullSecrets=some) for some in (names[:2], names))
    (left,) = [text for text in changed(before, after, known).warnings if "no Secret" in text]
    assert "'new'" in left


def test_passwords_that_are_not_there_yet_are_a_warning_where_they_are_named() -> None:
    known = cluster(MCS, ACME)
    known.missing.add("heads of acme")
    portal = {"portalDomain": "meet.acme.test"}
    by = {"authentication": {"passwordsFrom": [{"secretRef": {"name": name}} for name in ("there", "heads")]}}
    (told,) = changed(a_community(**portal), a_community(**portal, **by), known).warnings
    assert told == (
        "spec.authentication.passwordsFrom[1].secretRef.name: no Secret 'heads' with label mcs.tvox.io/passwords=acme "
        "in namespace demo yet; its users log in when it is there"
    )
    again = changed(a_community(**portal, **by), a_community(**portal, **by, displayName="ACME"), known)
    assert again.warnings == (), "it was told"


def test_a_users_file_that_is_not_there_yet_is_a_warning_where_it_is_named() -> None:
    known = cluster(MCS, ACME)
    known.missing |= {"ConfigMap/staff", "Secret/heads"}
    files = [{"configMapRef": {"name": "there"}}, {"configMapRef": {"name": "staff"}}, {"secretRef": {"name": "heads"}}]
    told = changed(a_community(), a_community(usersFrom=files), known).warnings
    label = "with label mcs.tvox.io/users=true in namespace demo yet; its users are served when it is there"
    assert told == (
        f"spec.usersFrom[1].configMapRef.name: no ConfigMap 'staff' {label}",
        f"spec.usersFrom[2].secretRef.name: no Secret 'heads' {label}",
    )
    (left,) = changed(a_community(usersFrom=files[:2]), a_community(usersFrom=files), known).warnings
    assert "heads" in left


CONNECTED = a_link("a") | {"status": {"tunnel": {"peer": "203.0.113.9:40000"}}}


def test_sources_that_leave_out_the_tvox_that_is_connected_are_a_warning_with_its_address() -> None:
    after = a_link("a", allowedSources=["198.51.100.0/24"])
    (warning,) = changed(CONNECTED, after, cluster(MCS, ACME, CONNECTED)).warnings
    assert warning == (
        "spec.allowedSources: TVoxLink a is connected from 203.0.113.9, which is in none of these networks: its TVox "
        "is cut off; add 203.0.113.9/32"
    )
    both = a_link("a", allowedSources=["198.51.100.0/24"], protocol="TCP")
    warnings = changed(CONNECTED, both, cluster(MCS, ACME, CONNECTED)).warnings
    assert [warning.split(": ")[0] for warning in warnings] == ["spec.allowedSources", "spec.protocol"]


def test_sources_that_leave_out_nobody_who_is_connected_cost_no_reconnect_in_a_pod_of_today() -> None:
    loaded = (f"spec.allowedSources: {LOADED_ANEW}",)
    wider, other = (a_link("a", allowedSources=[source]) for source in ("203.0.113.0/24", "198.51.100.0/24"))
    assert changed(CONNECTED, wider, cluster(MCS, ACME, CONNECTED)).warnings == loaded
    assert changed(a_link("a"), other, cluster(MCS, ACME, a_link("a"))).warnings == loaded


def test_with_the_longest_names_that_command_is_still_whole() -> None:
    name, here = "a" * MAX_NAME, "n" * 63
    before, after = a_link(name), a_link(name, protocol="TCP")
    after["metadata"]["namespace"] = here
    request = Request(Kind.LINK, Operation.UPDATE, here, name, after, before)
    assert f"kubectl mcs profile -n {here} {name}" in review(request, cluster(), NOW).warnings[-1]


def test_a_community_in_use_keeps_its_instance() -> None:
    before, after = a_community(), a_community(instance="else")
    (refusal,) = changed(before, after, cluster(MCS, before, a_link("a"))).refusals
    assert refusal.startswith("spec.instanceRef.name: else: 1 TVoxLinks of this Community belong to instance 'mcs'")
    assert changed(before, after, cluster(MCS, before)).refusals == ()


def crowd(count: int, name: str = "acme") -> Any:
    return a_community(name, users=[f"u{n}" for n in range(count)])


def test_the_1000th_user_of_a_tier_is_let_in_and_the_1001st_is_not() -> None:
    known = cluster(MCS, crowd(999, "big"))
    assert created(crowd(1), known).refusals == ()
    (refusal,) = created(crowd(2), known).refusals
    assert "1001 enabled users would be more than the 1000 of tier UpTo1000" in refusal


def test_users_of_files_count_as_they_were_counted_last() -> None:
    big = crowd(1, "big") | {"status": {"users": {"served": 900, "notServed": 99}}}
    assert created(crowd(1), cluster(MCS, big)).refusals == ()
    assert created(crowd(2), cluster(MCS, big)).refusals


def test_a_community_that_lists_nobody_and_was_not_counted_yet_counts_for_nothing() -> None:
    """Its users are in files: how many, the next status tells."""
    by_files = [a_community(f"files-{n}", usersFrom=[{"configMapRef": {"name": "x"}}]) for n in range(2)]
    assert all("users" not in body["spec"] for body in by_files)
    known = cluster(MCS, crowd(999, "big"), *by_files)
    assert created(crowd(1), known).refusals == ()
    assert created(crowd(2), known).refusals


def test_users_of_an_instance_that_is_full_may_become_fewer() -> None:
    over = crowd(1000) | {"status": {"users": {"served": 1000, "notServed": 500}}}
    assert changed(over, crowd(999), cluster(MCS, over)).refusals == ()


def limited(**limits: int) -> Any:
    return an_instance(communityLimits=limits)


def test_a_community_has_so_many_links_as_its_limit_allows() -> None:
    one, other = a_link("one"), a_link("other", community="beta")
    assert created(a_link("new"), cluster(limited(links=2), ACME, one, other)).refusals == ()
    (refusal,) = created(a_link("new"), cluster(limited(links=1), ACME, one, other)).refusals
    assert refusal == (
        "spec.communityRef.name: acme: the Community has the 1 TVoxLinks that spec.communityLimits.links of the "
        "instance allows; delete one, or have the limit raised"
    )
    assert created(a_link("new"), cluster(limited(users=1), ACME, one, other)).refusals == ()


def test_a_link_does_not_move_into_a_community_that_is_full_and_may_be_changed_within_one() -> None:
    one, two = a_link("one"), a_link("two", community="beta")
    known = cluster(limited(links=1), ACME, a_community("beta"), one, two)
    assert changed(two, a_link("two"), known).refusals
    assert changed(one, a_link("one", protocol="TCP"), known).refusals == ()


def test_a_community_has_so_many_users_as_its_limit_allows() -> None:
    before = crowd(2)
    known = cluster(limited(users=3), before, crowd(9, "beta"))
    assert changed(before, crowd(3), known).refusals == ()
    (refusal,) = changed(before, crowd(4), known).refusals
    assert refusal.startswith("spec.users: 4: 4 enabled users would be more than the 3 that spec.communityLimits.users")
    assert created(crowd(4, "new"), known).refusals
    assert created(crowd(3, "new"), known).refusals == ()


def test_users_of_files_count_towards_the_limit_as_they_were_counted_last() -> None:
    before = crowd(1) | {"status": {"users": {"served": 3, "notServed": 1}}}
    known = cluster(limited(users=4), before)
    assert changed(before, crowd(2), known).refusals
    assert changed(before, crowd(1), known).refusals == ()


def test_a_community_beyond_a_lowered_limit_may_become_smaller() -> None:
    before = crowd(5)
    assert changed(before, crowd(4), cluster(limited(users=1), before)).refusals == ()


def test_one_instance_per_namespace() -> None:
    (refusal,) = created(an_instance("second", domain="b.test"), cluster(MCS)).refusals[:1]
    assert refusal.startswith("metadata.namespace: demo has another MCSInstance already")
    assert "mcs'" not in refusal
    assert changed(an_instance("second"), an_instance("second", drainSeconds=9), cluster(MCS)).refusals == ()


def test_an_instances_domain_stays_while_links_exist() -> None:
    after = an_instance(domain="new.test")
    assert changed(MCS, after, cluster(MCS)).refusals == ()
    (refusal,) = changed(MCS, after, cluster(MCS, ACME, a_link("a"))).refusals
    assert refusal.startswith("spec.domain: new.test: cannot be changed while 1 TVoxLinks exist")


WHERE = Where(23000, "198.18.254.0/24", "mcs.test")


@pytest.mark.parametrize(
    ("field", "declared", "there", "spec"),
    [
        ("spec.vpn.basePort", "21000", "23000", {}),
        ("spec.vpn.cidr", "198.18.9.0/24", "198.18.254.0/24", {"vpn": {"basePort": 23000, "cidr": "198.18.9.0/24"}}),
        ("spec.domain", "new.test", "mcs.test", {"domain": "new.test", "vpn": {"basePort": 23000}}),
    ],
)
def test_an_instance_that_is_created_again_has_what_the_profiles_of_its_name_have(
    field: str, declared: str, there: str, spec: dict[str, Any]
) -> None:
    known = cluster(ACME, a_link("acme"))
    known.known = [replace(profile("acme", 17), where=WHERE), slot(17, "acme", where=replace(WHERE, domain=""))]
    (refusal,) = created(an_instance(**spec), known).refusals
    assert refusal.startswith(f"{field}: {declared}: 1 profiles of this instance's TVoxes have {there}")
    assert created(an_instance(vpn={"basePort": 23000}), known).refusals == ()
    assert created(an_instance("other", **spec), known).refusals == ()


def test_an_instance_that_exists_is_judged_by_its_own_update_and_not_by_its_profiles() -> None:
    known = cluster(MCS, ACME)
    known.known = [replace(profile("acme", 17), where=WHERE)]
    assert changed(MCS, an_instance(drainSeconds=9), known).refusals == ()


@pytest.mark.parametrize("cidr", ["10.244.7.0/24", "10.244.0.0/24"])
def test_a_network_of_the_cluster_is_no_network_for_the_vpn(cidr: str) -> None:
    known = cluster()
    known.cluster = [Network("10.244.0.0/16", "Pods of this cluster")]
    (refusal,) = created(an_instance(vpn={"cidr": cidr}), known).refusals
    assert refusal.startswith(f"spec.vpn.cidr: {cidr} meets 10.244.0.0/16, which has Pods of this cluster")
    assert created(an_instance(vpn={"cidr": "10.245.0.0/24"}), known).refusals == ()
    old = an_instance(vpn={"cidr": cidr})
    assert changed(old, an_instance(vpn={"cidr": cidr}, drainSeconds=9), known).refusals == (), "it has it already"


def test_slots_alone_refuse_no_instance() -> None:
    """They may be leftovers of identities that went with the instance, as it asked for."""
    known = cluster(ACME, a_link("acme"))
    known.known = [slot(17, "acme", where=WHERE)]
    assert created(MCS, known).refusals == ()


def test_a_tier_is_not_lowered_below_its_users() -> None:
    large, small = an_instance(tier="UpTo10000"), an_instance(tier="UpTo1000")
    counted = crowd(1) | {"status": {"users": {"served": 1001}}}
    (refusal,) = changed(large, small, cluster(large, counted)).refusals
    assert refusal.startswith("spec.tier: UpTo1000: has 1000 users, and 1001 are there")
    assert changed(large, small, cluster(large, crowd(1000))).refusals == ()


def test_slots_are_not_lowered_below_the_highest_number_in_use() -> None:
    before = an_instance(vpn={"slots": 20})
    known = cluster(before, held={2: "first", 17: "last"})
    assert changed(before, an_instance(vpn={"slots": 16}), known).refusals == ()
    (refusal,) = changed(before, an_instance(vpn={"slots": 15}), known).refusals
    assert refusal == (
        "spec.vpn.slots: 15: a TVoxLink has number 17 (198.18.254.17), which needs 16 slots; "
        "delete that link first (`kubectl get tvl` tells which), or keep 16 or more"
    )


def test_slots_of_which_none_is_held_are_lowered_to_one() -> None:
    assert changed(an_instance(vpn={"slots": 20}), an_instance(vpn={"slots": 1}), cluster(MCS)).refusals == ()


def test_a_restart_is_warned_of_with_the_number_of_customers() -> None:
    answer = changed(MCS, an_instance(vpn={"slots": 8}), cluster(MCS, ACME, a_link("a"), a_link("b")))
    assert answer.refusals == ()
    assert answer.warnings == ("spec.vpn.slots: the media pod drains and restarts, 2 customers are interrupted",)


STOPS = "spec.suspend: the media pod drains and stops, 1 customers are interrupted"


def test_suspending_is_warned_of_and_what_follows_is_not_once_the_pod_is_gone() -> None:
    stopped = an_instance(suspend=True, vpn={"slots": 8})
    assert changed(MCS, stopped, cluster(MCS, ACME, a_link("a"))).warnings == (STOPS,)
    for after in (MCS, an_instance(suspend=True, vpn={"slots": 9})):
        assert changed(stopped, after, cluster(stopped, ACME, a_link("a"))).warnings == ()


def test_as_long_as_the_pod_of_a_suspended_instance_serves_what_interrupts_everybody_is_warned_of() -> None:
    waits = an_instance(suspend=True) | {"status": {"podUID": "u"}}
    known = cluster(waits, ACME, a_link("a"))
    (warning,) = changed(waits, an_instance(vpn={"slots": 8}), known).warnings
    assert warning == "spec.vpn.slots: the media pod drains and restarts, 1 customers are interrupted"
    assert changed(waits, an_instance(suspend=True, vpn={"slots": 8}), known).warnings == (STOPS,)
    for nothing in (an_instance(), an_instance(suspend=True, drainSeconds=7)):
        assert changed(waits, nothing, known).warnings == ()


@pytest.mark.parametrize("status", [None, [], "x", {"podUID": None}])
def test_an_odd_status_of_a_suspended_instance_is_no_reason_to_fail(status: Any) -> None:
    stopped = an_instance(suspend=True) | {"status": status}
    assert changed(stopped, an_instance(vpn={"slots": 8}), cluster(stopped, ACME)).warnings == ()


def test_another_size_is_warned_of_where_the_cluster_restarts_the_pod_for_it() -> None:
    night = {"windows": [{"schedule": "0 2 * * *", "duration": "2h"}]}
    stored = an_instance(disruptions=night, resources=None)
    after = an_instance(disruptions=night, resources=None, tier="UpTo10000")
    known = cluster(stored, ACME, a_link("a"))
    assert changed(stored, after, known).warnings == ()
    waits, costs = changed(stored, after, replace(known, sizes=Resizing(in_place=False))).warnings
    assert waits.startswith("spec.disruptions: what is to restart waits for the window that begins at 2026-03-02T02")
    assert costs == "spec.tier: the media pod drains and restarts, 1 customers are interrupted"


def test_less_memory_is_warned_of_where_the_cluster_takes_none_away() -> None:
    less = an_instance(resources={"requests": {"memory": "64Mi"}, "limits": {"memory": "256Mi"}})
    known = replace(cluster(MCS, ACME, a_link("a")), sizes=Resizing(lowers_memory=False))
    (warning,) = changed(MCS, less, known).warnings
    assert warning.endswith(": the media pod drains and restarts, 1 customers are interrupted")
    assert changed(less, MCS, known).warnings == ()


def test_two_instances_do_not_share_a_nodes_ports() -> None:
    other = an_instance("far", domain="far.test")
    (refusal,) = created(MCS, cluster(there=[other])).refusals
    assert refusal.startswith("spec.nodeSelector: kubernetes.io/hostname=mcs-node: that node's ports 80, 443 and 3478")
    assert "far" not in refusal
    assert created(an_instance(node="elsewhere"), cluster(there=[other])).refusals == ()
    balanced = an_instance(network={"mode": "LoadBalancer"})
    assert created(balanced, cluster(there=[other])).refusals == ()
    perhaps = created(an_instance(nodeSelector={"zone": "dmz"}), cluster(there=[other]))
    assert perhaps.refusals == ()
    assert "may choose the same node" in perhaps.warnings[0]
    assert "far" not in perhaps.warnings[0]


def test_one_that_may_share_the_node_does_not_hide_one_that_does() -> None:
    first, second = an_instance("zone", nodeSelector={"zone": "dmz"}), an_instance("far", domain="far.test")
    answer = created(MCS, cluster(there=[first, second]))
    assert [refusal.split(":")[0] for refusal in answer.refusals] == ["spec.nodeSelector"]


ODD = [None, 7, "text", [], {}, [[]], {"name": {}}, {"users": 7}, True]
"""What a store may hold: written by an older schema, or by somebody with the right to status."""


@pytest.mark.parametrize("odd", ODD)
def test_no_stored_object_is_too_odd_for_a_review(odd: Any) -> None:
    def strange(kind: str) -> Any:
        metadata = {"name": f"odd-{kind.lower()}", "namespace": HERE}
        names = ("instanceRef", "communityRef", "users", "vpn", "network", "nodeSelector", "tier", "enabled")
        spec = {"domain": odd, "vpnAddress": odd} | dict.fromkeys(names, odd)
        return {"kind": kind, "metadata": metadata, "spec": spec, "status": {"users": {"served": odd}}}

    bodies = [strange(kind) for kind in Kind] + [{**strange(kind), "spec": odd, "status": odd} for kind in Kind]
    known = StoredAsItIs({HERE: bodies}, {17: "holds"})
    for new in (a_link("new", vpnAddress="198.18.254.17"), crowd(3), an_instance()):
        assert isinstance(created(new, known), Answer)
    named = {**strange("MCSInstance"), "metadata": {"name": "mcs", "namespace": HERE}}
    assert isinstance(created(crowd(3), StoredAsItIs({HERE: [named]})), Answer)
    assert isinstance(created(a_link("new", vpnAddress="198.18.254.17"), StoredAsItIs({HERE: [named]})), Answer)


class StoredAsItIs(Known):
    """A cluster that holds anything."""

    def domain_holders(self, namespace: str, domain: str) -> Iterator[tuple[Kind, str]]:
        return iter(())


@pytest.mark.parametrize("served", ["many", -1, 10**30, True, None, {"a": 1}, 1.5])
def test_a_status_that_somebody_wrote_counts_for_nothing_where_it_is_no_number_of_users(served: Any) -> None:
    big = crowd(1, "big") | {"status": {"users": {"served": served, "notServed": served}}}
    assert created(crowd(999), cluster(MCS, big)).refusals == ()
    assert created(crowd(1000), cluster(MCS, big)).refusals


def test_a_change_of_metadata_is_never_reviewed() -> None:
    links = many(251, domain="same.test")
    labelled = {**links[0], "metadata": {**links[0]["metadata"], "labels": {"a": "b"}}}
    assert changed(links[0], labelled, cluster(*links)) == Answer()


def test_what_does_not_parse_is_the_schemas_to_refuse() -> None:
    assert created({"kind": "TVoxLink", "metadata": {"name": "x"}, "spec": {"domain": 7}}, cluster()) == Answer()


def test_a_warning_is_never_longer_than_the_api_server_takes() -> None:
    answer = created(a_link("a", community=".".join(["c" * 60] * 4)), cluster(MCS))
    assert answer.warnings
    assert max(map(len, answer.warnings)) <= WARNING_LIMIT


def test_whoever_reaches_a_mark_is_warned_and_nobody_after_him() -> None:
    def said(count: int) -> list[str]:
        warnings = created(a_link("new"), cluster(WIDE, ACME, *many(count))).warnings
        return [warning for warning in warnings if warning.startswith("capacity: ")]

    assert said(198) == []
    assert said(199) == ["capacity: 200 of 250 TVoxLinks (80 %, 50 left); plan another instance"]
    assert said(200) == []
    assert said(237) == ["capacity: 238 of 250 TVoxLinks (95 %, 12 left); plan another instance"]
    users = created(crowd(100), cluster(WIDE, crowd(700, "big"))).warnings
    assert users == ("capacity: 800 of 1000 users (80 %, 200 left); plan a larger tier",)


def capacity(answer: Answer) -> list[str]:
    return [warning for warning in answer.warnings if warning.startswith("capacity: ")]


def test_the_first_users_of_an_instance_are_users_and_no_links() -> None:
    assert created(crowd(240), cluster(MCS)).warnings == ()
    assert created(crowd(800), cluster(MCS)).warnings == (
        "capacity: 800 of 1000 users (80 %, 200 left); plan a larger tier",
    )


def test_a_single_user_may_reach_a_mark() -> None:
    assert capacity(created(crowd(1), cluster(MCS, crowd(798, "big")))) == []
    assert capacity(created(crowd(1), cluster(MCS, crowd(799, "big")))) != []


def test_a_change_that_adds_nothing_reaches_no_mark() -> None:
    links = many(200)
    assert capacity(changed(links[7], a_link("c007", protocol="TCP"), cluster(MCS, ACME, *links))) == []
    assert capacity(changed(crowd(800), crowd(799), cluster(MCS, crowd(800)))) == []


def test_a_link_that_is_there_already_does_not_count_twice() -> None:
    """A second `kubectl create` of the same name comes here before the store refuses it: it is told that, not this."""
    known = cluster(MCS, ACME, *many(250))
    assert created(a_link("c007"), known).refusals == ()


def test_every_field_that_cuts_the_tunnel_is_named_by_what_it_costs() -> None:
    after = a_link("a", allowedSources=["203.0.113.0/24"], protocol="TCP")
    warnings = changed(a_link("a"), after, cluster(MCS, ACME)).warnings
    assert [warning.split(": ")[0] for warning in warnings] == ["spec.protocol", "spec.allowedSources"]


def test_every_field_that_restarts_the_pod_is_named() -> None:
    after = an_instance(vpn={"slots": 8}, network={"mediaPort": 10002}, tier="UpTo10000")
    (warning,) = changed(MCS, after, cluster(MCS, ACME)).warnings
    fields, words = warning.split(": ")
    assert (sorted(fields.split(", ")), words) == (
        ["spec.network.mediaPort", "spec.vpn.slots"],
        "the media pod drains and restarts, 0 customers are interrupted",
    )


def test_another_image_is_warned_of_with_whose_calls_end() -> None:
    after = an_instance(image="localhost/mcs/appliance:next")
    assert changed(MCS, after, cluster(MCS, ACME, a_link("a"))).warnings == (
        "spec.image: the media drains and restarts: calls of 1 customers end, tunnels stay up",
    )


def test_a_link_of_a_community_beyond_a_lowered_limit_may_be_changed() -> None:
    one, two = a_link("one"), a_link("two")
    known = cluster(limited(links=1), ACME, one, two)
    assert changed(one, a_link("one", protocol="TCP"), known).refusals == ()


def test_a_community_that_is_beyond_its_tier_or_limit_may_be_changed_in_another_field() -> None:
    def after(count: int) -> Any:
        return a_community(users=[f"u{n}" for n in range(count)], defaultFunctions=["Audio"])

    over = crowd(1000) | {"status": {"users": {"served": 1000, "notServed": 500}}}
    assert changed(over, after(1000), cluster(MCS, over)).refusals == ()
    assert changed(crowd(5), after(5), cluster(limited(users=1), crowd(5))).refusals == ()


def test_one_user_more_than_tier_or_limit_is_too_many() -> None:
    assert changed(crowd(1), crowd(2), cluster(MCS, crowd(1), crowd(999, "big"))).refusals
    assert changed(crowd(3), crowd(4), cluster(limited(users=3), crowd(3))).refusals


def test_who_is_disabled_counts_for_nothing() -> None:
    some = a_community("big", users=[{"name": f"u{n}", "enabled": n < 999} for n in range(1500)])
    assert created(crowd(1), cluster(MCS, some)).refusals == ()
    assert created(crowd(2), cluster(MCS, some)).refusals
    none = a_community("big", users=["a", "b"], enabled=False)
    assert created(crowd(1), cluster(MCS, crowd(999, "some"), none)).refusals == ()
    assert created(crowd(2), cluster(MCS, crowd(999, "some"), none)).refusals
    off = a_community("acme", users=["a", "b"], enabled=False)
    full = cluster(MCS, crowd(999, "some"), off)
    assert created(off, cluster(MCS, crowd(1000, "some"))).refusals == ()
    (refusal,) = changed(off, crowd(2), full).refusals
    assert refusal.startswith("spec.users: 2: 1001 enabled users would be more than the 1000 of tier UpTo1000")


@pytest.mark.parametrize(("served", "refused"), [(0, False), (999_999, True), (1_000_000, True), (1_000_001, False)])
def test_a_million_users_may_be_counted_and_no_more(served: int, refused: bool) -> None:
    big = crowd(1000, "big") | {"status": {"users": {"served": served}}}
    if served > 1_000_000:
        big = crowd(0, "big") | {"status": {"users": {"served": served}}}
    assert bool(created(crowd(1), cluster(MCS, big)).refusals) is refused


def test_profiles_that_their_slots_contradict_say_nothing_of_an_instance() -> None:
    known = cluster(ACME, a_link("acme"))
    other = replace(WHERE, base_port=22000, domain="")
    known.known = [replace(profile("acme", 17), where=WHERE), slot(17, "acme", where=other)]
    assert created(MCS, known).refusals == ()


def test_an_instance_in_a_bad_state_may_be_changed_in_another_field() -> None:
    before = an_instance(vpn={"slots": 6})
    counted = crowd(1) | {"status": {"users": {"served": 1001}}}
    known = cluster(before, counted, held={17: "beyond"})
    assert changed(before, an_instance(vpn={"slots": 6}, drainSeconds=9), known).refusals == ()


SELECTOR = "spec.nodeSelector"


def test_an_instance_alone_is_warned_of_no_neighbour_and_is_not_its_own() -> None:
    assert created(MCS, cluster()).warnings == ()
    after = an_instance(nodeSelector={"kubernetes.io/hostname": "mcs-node", "zone": "dmz"})
    answer = changed(MCS, after, cluster(MCS))
    assert answer.refusals == ()
    assert answer.warnings == (f"{SELECTOR}: the media pod drains and restarts, 0 customers are interrupted",)


def test_an_instance_of_the_same_name_elsewhere_is_another_one() -> None:
    (refusal,) = created(MCS, cluster(there=[an_instance(domain="far.test")])).refusals
    assert refusal.startswith(SELECTOR)


@pytest.mark.parametrize(
    ("mine", "theirs", "told"),
    [
        ({"zone": "a"}, {"zone": "b"}, ""),
        ({"zone": "a"}, {"zone": "a"}, "warned"),
        ({"zone": "a"}, {"disk": "fast"}, "warned"),
        ({"zone": "a"}, {"kubernetes.io/hostname": "n"}, "warned"),
        ({"kubernetes.io/hostname": "n"}, {"zone": "a"}, "warned"),
        ({"kubernetes.io/hostname": "n"}, {"kubernetes.io/hostname": "m"}, ""),
        ({"kubernetes.io/hostname": "n"}, {"kubernetes.io/hostname": "n"}, "refused"),
        ({"kubernetes.io/hostname": "n", "zone": "a"}, {"kubernetes.io/hostname": "n", "zone": "b"}, ""),
        ({"kubernetes.io/hostname": "n", "zone": "a"}, {"kubernetes.io/hostname": "n", "disk": "fast"}, "refused"),
    ],
)
def test_labels_tell_whether_two_instances_may_share_a_node(
    mine: dict[str, str], theirs: dict[str, str], told: str
) -> None:
    other = an_instance("far", domain="far.test", nodeSelector=theirs)
    answer = created(an_instance(nodeSelector=mine), cluster(there=[other]))
    assert (bool(answer.refusals), bool(answer.warnings)) == (told == "refused", told == "warned")
    before = an_instance(nodeSelector={"zone": "former"})
    answer = changed(before, an_instance(nodeSelector=mine), cluster(before, there=[other]))
    refused = [text for text in answer.refusals if text.startswith(SELECTOR)]
    assert bool(refused) is (told == "refused")
    assert any("may choose the same node" in text for text in answer.warnings) is (told == "warned")


def test_an_instance_behind_a_load_balancer_takes_no_ports_of_a_node() -> None:
    other = an_instance("far", domain="far.test", network={"mode": "LoadBalancer"})
    assert created(MCS, cluster(there=[other])) == Answer()


def test_whoever_leaves_the_load_balancer_is_asked_for_a_node_of_his_own() -> None:
    before, other = an_instance(network={"mode": "LoadBalancer"}), an_instance("far", domain="far.test")
    assert changed(before, MCS, cluster(before, there=[other])).refusals
    assert changed(MCS, an_instance(drainSeconds=9), cluster(MCS, there=[other])).refusals == (), "it is there already"


def test_a_warning_is_shown_whole_up_to_256_characters_and_cut_beyond() -> None:
    def warned(name: str) -> str:
        (warning,) = created(a_link("a", community=name), cluster(MCS)).warnings
        return warning

    around = len(warned("c")) - 1
    names = [("c" * 60 + ".") * 3 + "c" * (256 - around - 183 + more) for more in (0, 1)]
    whole, cut = map(warned, names)
    assert whole == f"spec.communityRef.name: no Community '{names[0]}' in namespace demo yet"
    assert (len(whole), len(cut)) == (256, 256)
    assert cut == f"spec.communityRef.name: no Community '{names[1]}' in namespace demo yet"[:255] + "…"


def test_operations_have_the_api_servers_names() -> None:
    assert [Operation("CREATE"), Operation("UPDATE")] == list(Operation)


def test_a_link_is_told_of_each_thing_that_it_waits_for_in_full() -> None:
    assert created(a_link("new"), cluster()).warnings == (
        "spec.instanceRef.name: no MCSInstance 'mcs' in namespace demo yet; the link waits for it",
        "spec.communityRef.name: no Community 'acme' in namespace demo yet",
    )
    assert created(crowd(1), cluster()).warnings == (
        "spec.instanceRef.name: no MCSInstance 'mcs' in namespace demo yet; the Community waits for it",
    )
    (mismatch,) = created(a_link("new"), cluster(MCS, a_community(instance="else"))).warnings
    assert mismatch.startswith("spec.communityRef.name: Community 'acme' has another spec.instanceRef than this link")
