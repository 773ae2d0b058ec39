"""What rendering and writing add to the plan, in the words of the conditions table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mcs_operator.api.conditions import Kind, Reason
from mcs_operator.contract.linkstate import MediaState
from mcs_operator.contract.shards import ServedCertificate, ServedLogin, ServedUser, packed, users_files
from mcs_operator.domain.changes import Changes
from mcs_operator.domain.decide import decide
from mcs_operator.domain.keyring import Keys, Serving
from mcs_operator.domain.manifest import Manifest, Wave
from mcs_operator.domain.outcome import Outcome
from mcs_operator.domain.pod import sizing
from mcs_operator.domain.pod.rollout import Rollout, Step
from mcs_operator.domain.rules.verdict import Verdict
from mcs_operator.domain.status import Wanted
from mcs_operator.render.changes import Decision
from mcs_operator.render.objects import encoded
from mcs_operator.render.render import Desired
from mcs_operator.render.wanted import unwritten_logins, unwritten_users, wanted
from support.worlds import HASH, NOW, community, fingerprint, given, instance, keys_for, link, report

SOURCE = instance()
WAITS = Rollout(Step.WAIT_TO_BE_ASKED, ("slots",))


def told(
    *things: Any, desired: Desired | None = None, keys: Keys | None = None, outcome: Outcome | None = None
) -> Wanted:
    world = given(SOURCE, community(), *things)
    plan = decide(world)
    decision = Decision(world, plan, keys or keys_for(plan), desired or Desired(), Changes("demo", NOW))
    return wanted(decision, outcome or Outcome(), WAITS)


def manifest(kind: str, name: str, link: str | None = None, **content: Any) -> Manifest:
    return Manifest({"kind": kind, "metadata": {"name": name}, **content}, Wave.SHARD, link=link)


def test_what_was_rendered_is_told_as_it_is() -> None:
    about = Verdict(Reason.CERTIFICATE_INVALID, "it is expired")
    keys = Keys(serving=Serving(problems={(Kind.LINK, "a"): about}), problem=Verdict(Reason.CA_INVALID, "no CA"))
    desired = Desired(
        manifests=(manifest("Secret", "mcs-ca"), manifest("Service", "mcs")),
        revisions={2: "r"},
        defects=("the quota: KeyError",),
    )
    assert told(
        desired=desired, keys=keys, outcome=Outcome(failures={"Service mcs": "Service mcs: Forbidden"})
    ) == Wanted(
        revisions={2: "r"},
        sizing=sizing.size(SOURCE),
        rollout=WAITS,
        failures=("Service mcs: Forbidden",),
        rendered=frozenset({"Secret mcs-ca", "Service mcs"}),
        defects=("the quota: KeyError",),
        certificates={(Kind.LINK, "a"): about},
        authority=Verdict(Reason.CA_INVALID, "no CA"),
    )


def test_without_an_instance_there_is_nothing_to_size() -> None:
    world = given(community())
    decision = Decision(world, decide(world), Keys(), Desired(), Changes("demo", NOW))
    assert wanted(decision, Outcome(), WAITS) == Wanted(revisions={}, rollout=WAITS)


def test_the_certificates_of_each_links_tvox_are_told_by_link() -> None:
    assert told(link("a")).fingerprints == {"a": (fingerprint("a"),)}


def test_what_the_appliance_does_not_take_is_told_of_the_certificate_and_of_the_whole() -> None:
    refused = [{"domain": "a.mcs.test", "problem": "too weak"}]
    media = MediaState(config="old", notTaken="no such file", refused=refused)
    found = told(link("a"), report(media=media), desired=Desired(checksums="new"))
    assert found.certificates[Kind.LINK, "a"].reason is Reason.CERTIFICATE_INVALID
    assert found.untaken.endswith("goes on with the one before: no such file")
    assert told(report(media=media), desired=Desired(checksums="old")).untaken == ""


def test_what_the_operator_itself_finds_wrong_with_a_certificate_goes_before_what_the_appliance_says() -> None:
    own = Verdict(Reason.CERTIFICATE_INVALID, "it is expired")
    media = MediaState(refused=[{"domain": "a.mcs.test", "problem": "too weak"}])
    keys = Keys(serving=Serving(problems={(Kind.LINK, "a"): own}))
    assert told(link("a"), report(media=media), keys=keys).certificates == {(Kind.LINK, "a"): own}


def test_each_link_is_told_what_kept_its_own_objects_from_being_there() -> None:
    keys = Keys(damaged={"keys": "its keys cannot be made"})
    desired = Desired(failures={"files": "a line break"}, link_defects={"defect": "the link's files: KeyError"})
    outcome = Outcome(
        errors={"write": "Forbidden"},
        taken={"taken": "taken-profile", "strange": "strange-profile"},
        foreign={"Secret strange-profile": "Secret strange-profile is Helm's", "Service mcs": "Service mcs is Helm's"},
    )
    assert told(keys=keys, desired=desired, outcome=outcome).problems == {
        "keys": Verdict(Reason.PENDING, "its keys cannot be made"),
        "files": Verdict(Reason.PENDING, "a line break"),
        "write": Verdict(Reason.PENDING, "Forbidden"),
        "defect": Verdict(Reason.RECONCILE_FAILED, "the link's files: KeyError"),
        "taken": Verdict(
            Reason.NAME_TAKEN,
            "Secret taken-profile exists and is not the operator's; delete or rename it, or rename the link",
        ),
        "strange": Verdict(Reason.NAME_TAKEN, "Secret strange-profile is Helm's, or rename the link"),
    }


def test_the_instance_is_told_of_what_is_not_the_operators_and_no_links() -> None:
    desired = Desired(manifests=(manifest("Secret", "a-profile", link="a"), manifest("Service", "mcs")))
    foreign = {"Secret a-profile": "of a link", "Service mcs": "of the instance", "Secret mcs-ca": "a CA"}
    assert told(desired=desired, outcome=Outcome(foreign=foreign)).foreign == ("of the instance", "a CA")


def test_whose_passwords_are_not_written_is_told_and_not_that_his_users_are_not() -> None:
    ada, bo = (ServedLogin("acme", "ada", HASH), ServedLogin("beta", "bo", HASH))
    people = [ServedUser("acme", "ada", "Ada", ()), ServedUser("beta", "bo", "Bo", ())]
    world = given(SOURCE, shards=packed(users_files(people, [ada, bo])))
    files = users_files(people, [ada, bo._replace(hash=HASH.replace("a", "b"))])
    outcome = Outcome(unwritten=[manifest("Secret", "mcs-users-00", data=encoded(files))])
    assert unwritten_users(world, outcome) == {}
    assert unwritten_logins(world, outcome) == {"beta": "Secret mcs-users-00 has to settle first"}


def test_which_names_have_a_certificate_is_told() -> None:
    sites = (ServedCertificate("a.test", "", ""),), (ServedCertificate("meet.a.test", "", ""),)
    keys = Keys(serving=Serving(sites[0], portals=sites[1]))
    assert told(keys=keys).certified == {"a.test", "meet.a.test"}


def test_whose_users_are_not_written_is_told_of_those_that_would_have_changed_alone() -> None:
    bo, other = ServedUser("beta", "bo", "Bo", ()), ServedUser("beta", "bo", "Bo B.", ())
    ((file, _),) = users_files([bo]).items()
    ann = next(u for n in range(999) if file in users_files([u := ServedUser("acme", f"ann{n}", "Ann", ())]))
    world = given(SOURCE, shards=packed(users_files([ann, bo])))
    secret = manifest("Secret", "mcs-users-00", data=encoded(users_files([ann, other])))
    config_map = manifest("ConfigMap", "mcs-links", data={"links.json": "{}"})
    outcome = Outcome(unwritten=[config_map, secret])
    assert unwritten_users(world, outcome) == {"beta": "Secret mcs-users-00 has to settle first"}
    outcome.failures["Secret mcs-users-00"] = "Secret mcs-users-00: Forbidden"
    assert unwritten_users(world, outcome) == {"beta": "Secret mcs-users-00: Forbidden"}
    decision = Decision(world, decide(world), Keys(), Desired(), Changes("demo", NOW))
    assert wanted(decision, outcome, WAITS).unwritten == unwritten_users(world, outcome)
    assert unwritten_users(replace(world, shards={}), outcome).keys() == {"acme", "beta"}, "none was there before"
