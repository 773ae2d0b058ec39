"""Portals on a real API server: from a Community to somebody who can log in, hot, and at nobody else's cost."""

from __future__ import annotations

import base64
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from support.api import Api, Object
from support.certificates import chain, tls_secret
from support.fake_agent import FakeAgent, FakeAppliance, fake_agent, free_base_port
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.plugin import write_plugin
from support.shards import complete_set, until_served, users
from support.snapshots import Audit, audited, settled
from support.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

HASH = "$2y$10$" + "a" * 53
SOURCE = {"passwordsFrom": [{"secretRef": {"name": "acme-passwords"}}]}
PORTAL = {"portalDomain": "meet.mcs.test", "authentication": SOURCE}
WEB = {"tls": {"secretRef": {"name": "web"}}}
BOTH = ["Audio", "Chat"]


def a_secret(text: str, name: str = "acme-passwords", of: str = "acme") -> Object:
    metadata = {"name": name, "labels": {"mcs.tvox.io/passwords": of}}
    data = {".htpasswd": base64.b64encode(text.encode()).decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


def changed_to(text: str) -> dict[str, Any]:
    return {"data": a_secret(text)["data"]}


def hashes(api: Api) -> dict[str, str]:
    """What the appliance is given: ``community/name`` to the hash."""
    files = (file for name, file in complete_set(api).items() if name.startswith("logins-"))
    return {f"{entry['community']}/{entry['name']}": entry["hash"] for file in files for entry in file["logins"]}


@pytest.fixture
def agent(api: Api, operator: Operator) -> Iterator[FakeAgent]:
    """A customer with a tunnel and users, in a pod whose appliance serves portals."""
    base = free_base_port()
    people = a_community(users=("ada", "bob"))
    api.create(
        tls_secret("web", chain("mcs.test", "*.mcs.test")), an_instance(vpn={"slots": 6, "basePort": base}, **WEB)
    )
    api.create(people, a_link("acme"))
    with fake_agent(api, base) as agent:
        agent.appliance = FakeAppliance(api, "mcs")
        agent.appliance.contract = 2
        api.wait_condition("TVoxLink", "acme", "Ready", "True", timeout=60)
        yield agent


def plugin(api: Api, folder: Path, *arguments: str, stdin: str = "") -> str:
    write_plugin(folder)
    where = (f"--kubeconfig={api.kubeconfig}", f"--namespace={api.namespace}")
    path = {"PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["kubectl", "mcs", *arguments, *where],
        input=stdin, env=os.environ | path, text=True, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_from_the_first_password_to_the_first_login_nothing_restarts_and_nobody_else_is_written(
    api: Api, operator: Operator, agent: FakeAgent, tmp_path: Path
) -> None:
    api.wait_condition("Community", "acme", "LoginReady", "False", "NotConfigured")
    before, restarts = settled(api), agent.restarts(2)

    api.change("Community", "acme", **PORTAL)
    api.wait_condition("Community", "acme", "LoginReady", "False", "PasswordsNotFound", 30)
    for type, status in (("Ready", "True"), ("Reconciling", "False"), ("Stalled", "False")):
        assert api.condition("Community", "acme", type)[0] == status

    plain = plugin(api, tmp_path, "password", "acme/ada").strip()
    told = api.wait_condition("Community", "acme", "LoginReady", "True", "Served", 60)
    assert told == "at https://meet.mcs.test 1 of 2 users can log in"
    assert list(hashes(api)) == ["acme/ada"]
    assert hashes(api)["acme/ada"].startswith("$argon2id$")
    assert len(plain) == 19

    after = settled(api)
    touched = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    own = {name for name in touched if name.startswith("Secret/mcs-users-")}
    assert len(own) == 1, own
    certificates = {name for name in touched if name.startswith("Secret/mcs-certs-")}
    assert touched - own - certificates - {"Pod/mcs-0"} == {
        "Community/acme",
        "ConfigMap/mcs-links",
        "ConfigMap/mcs-manifest",
        "Secret/acme-passwords",
    }
    assert agent.restarts(2) == restarts
    public = ("ConfigMap", "MCSInstance", "Community", "TVoxLink", "StatefulSet", "Pod", "Event")
    seen = [str(body) for kind in public for body in api.list(kind)]
    assert not [text for text in seen if "$argon2id$" in text or plain in text]
    assert "$argon2id$" not in operator.since(0)
    assert plain not in operator.since(0)


def test_another_password_costs_two_writes_and_no_status(api: Api, operator: Operator, agent: FakeAgent) -> None:
    api.create(a_secret(f"ada:{HASH}\n"))
    api.change("Community", "acme", **PORTAL)
    api.wait_condition("Community", "acme", "LoginReady", "True", "Served", 60)
    settled(api)
    audit = audited(api)
    api.merge("Secret", "acme-passwords", changed_to(f"ada:{HASH.replace('a', 'b')}\n"))
    until("it is there", lambda: hashes(api) == {"acme/ada": HASH.replace("a", "b")}, 30)
    settled(api)
    written = Counter(write for write in audit.writes(api.namespace) if not write.startswith("patch pods/"))
    shard = next(name for name in written if "mcs-users-" in name)
    assert written == Counter([shard, "patch configmaps/mcs-manifest"])


@pytest.mark.parametrize(
    ("field", "declared", "told"),
    [
        pytest.param(
            "portals",
            {"retention": {"chat": "48h"}, "quota": "2Gi"},
            {"chatSeconds": 172_800, "quotaBytes": 2 * 1024**3},
            id="what they keep",
        ),
        pytest.param(
            "communityLimits",
            {"users": 9000, "calls": 5, "participants": 20},
            {"calls": 5, "participants": 20},
            id="how many calls each community may have",
        ),
    ],
)
def test_what_holds_for_all_portals_is_changed_by_two_files_and_nobody_notices(
    api: Api, operator: Operator, agent: FakeAgent, field: str, declared: dict[str, object], told: dict[str, int]
) -> None:
    settled(api)
    assert field not in complete_set(api)["instance.json"], "nothing is written for what is not declared"
    restarts, audit = agent.restarts(2), audited(api)
    api.change("MCSInstance", "mcs", **{field: declared})
    until("it is there", lambda: complete_set(api)["instance.json"].get(field) == told, 30)
    settled(api)
    written = Counter(write for write in audit.writes(api.namespace) if not write.startswith("patch pods/"))
    assert written == Counter(
        ["patch configmaps/mcs-links", "patch configmaps/mcs-manifest", "patch mcsinstances/mcs/status"]
    )
    assert agent.restarts(2) == restarts
    assert api.condition("MCSInstance", "mcs", "RestartPending")[0] == "False"


def test_a_user_is_forgotten_and_his_name_is_nowhere_but_in_secrets(
    api: Api, operator: Operator, agent: FakeAgent, tmp_path: Path
) -> None:
    api.create(a_secret(f"ada:{HASH}\n"))
    api.change("Community", "acme", **PORTAL)
    api.wait_condition("Community", "acme", "LoginReady", "True", "Served", 60)
    before, restarts, audit = settled(api), agent.restarts(2), audited(api)
    user = "zoe.who-has-left"  # not to be found by chance, as three letters are in the base64 of a certificate
    plugin(api, tmp_path, "forget", f"acme/{user}", "--yes")
    asked = Counter(write for write in audit.writes(api.namespace) if not write.startswith("patch pods/"))
    print(f"\nwrites of one request, its confirmation and its end: {dict(asked)}")
    after = settled(api)
    touched = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    assert touched <= {"Secret/acme-passwords", "ConfigMap/mcs-manifest", "Community/acme", "Pod/mcs-0"}
    assert agent.restarts(2) == restarts
    assert hashes(api) == {"acme/ada": HASH}
    assert "erased" not in api.get("Community", "acme")["status"]
    assert ".erase" not in api.get("Secret", "acme-passwords")["data"], "the request is taken away"
    assert not [name for name, text in complete_set(api).items() if user in str(text)]
    everything = [str(body) for kind in ("ConfigMap", "Community", "Pod", "Event", "Secret") for body in api.list(kind)]
    assert not [text for text in everything if user in text]
    assert user not in operator.since(0)


def test_a_wrong_line_keeps_the_last_good_and_a_password_that_is_taken_away_is_gone(
    api: Api, operator: Operator, agent: FakeAgent
) -> None:
    api.create(a_secret(f"ada:{HASH}\nbob:{HASH}\n"))
    api.change("Community", "acme", **PORTAL)
    until("both are there", lambda: hashes(api) == {"acme/ada": HASH, "acme/bob": HASH}, 60)

    api.merge("Secret", "acme-passwords", changed_to(f"ada:{HASH}\nbob:hunter2\n"))
    told = api.wait_condition("Community", "acme", "Stalled", "True", "PasswordsInvalid", 30)
    assert "Secret 'acme-passwords', key .htpasswd: line 2: the hash must be" in told
    assert not any(word in told for word in ("ada", "bob", "hunter2"))
    assert hashes(api) == {"acme/ada": HASH, "acme/bob": HASH}

    api.merge("Secret", "acme-passwords", changed_to(f"ada:{HASH}\n"))
    until("bob is gone", lambda: hashes(api) == {"acme/ada": HASH}, 30)
    api.wait_condition("Community", "acme", "LoginReady", "True", "Served", 30)

    api.merge("Secret", "acme-passwords", {"metadata": {"labels": {"mcs.tvox.io/passwords": "globex"}}})
    api.wait_condition("Community", "acme", "LoginReady", "False", "PasswordsNotFound", 30)
    assert hashes(api) == {"acme/ada": HASH}, "what was taken from it before goes on"
    api.change("Community", "acme", authentication=None)
    until("nobody has a password", lambda: hashes(api) == {}, 30)


def test_an_image_of_before_goes_on_taking_changes_and_says_nothing_of_portals(
    api: Api, operator: Operator, agent: FakeAgent
) -> None:
    assert agent.appliance is not None
    agent.appliance.contract = 1
    api.create(a_secret(f"ada:{HASH}\n"))
    api.change("Community", "acme", **PORTAL)
    told = api.wait_condition("Community", "acme", "LoginReady", "Unknown", "NotSupported", 60)
    assert "too old for portals" in told
    for type, status in (("Ready", "True"), ("Reconciling", "False"), ("Stalled", "False")):
        assert api.condition("Community", "acme", type)[0] == status
    api.create(a_link("bolt"), a_community("bolt", users=("eva",)))
    api.wait_condition("TVoxLink", "bolt", "Ready", "True", timeout=60)
    until_served(api, {"acme/ada": BOTH, "acme/bob": BOTH, "bolt/eva": BOTH}, read=users)
    assert api.condition("MCSInstance", "mcs", "RestartPending")[0] == "False"
    agent.appliance.contract = 2
    api.wait_condition("Community", "acme", "LoginReady", "True", "Served", 30)


def test_a_restart_with_portals_in_force_writes_nothing(api: Api, operator: Operator, agent: FakeAgent) -> None:
    api.create(a_secret(f"ada:{HASH}\n"))
    api.change("Community", "acme", **PORTAL)
    api.wait_condition("Community", "acme", "LoginReady", "True", "Served", 60)
    until("its name is asked for", lambda: any("meet.mcs.test" in names for names in agent.asked), 60)
    before = settled(api, quiet=5)
    operator.stop()
    audit, asked = Audit.of(api), len(agent.asked)
    operator.start()
    until("it asks again", lambda: len(agent.asked) > asked, 60)
    assert settled(api, quiet=5) == before
    assert audit is None or audit.writes(api.namespace) == []


def test_after_an_upgrade_a_community_of_before_costs_one_status(api: Api, operator: Operator) -> None:
    """Two conditions are new, and every condition of a kind is always set."""
    api.create(an_instance(), a_community(users=("ada",)), a_community("globex"))
    for name in ("acme", "globex"):
        api.wait_condition("Community", name, "LoginReady", "False", "NotConfigured")
    settled(api)
    operator.stop()
    for name in ("acme", "globex"):
        status = api.get("Community", name)["status"]
        known = [c for c in status["conditions"] if c["type"] not in ("LoginReady", "DomainResolved")]
        api.merge_status("Community", name, {"conditions": known})
    audit = audited(api)
    operator.start()
    for name in ("acme", "globex"):
        api.wait_condition("Community", name, "LoginReady", "False", "NotConfigured")
    settled(api)
    assert sorted(audit.writes(api.namespace)) == [
        "patch communities/acme/status",
        "patch communities/globex/status",
    ]


def test_of_two_namespaces_one_has_the_portals_name_and_the_other_comes_after_it(
    api: Api, operator: Operator, server: Api
) -> None:
    api.create(an_instance(), a_community("first", portalDomain="meet.shared.test"))
    api.wait_condition("Community", "first", "LoginReady", "False", "NoPasswords")
    other = f"{api.namespace}-b"
    server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other}})
    try:
        there = server.within(other)
        there.create(an_instance(domain="other.test", address="10.89.0.2", node="other"))
        there.create(a_community("second", portalDomain="meet.shared.test"))
        created = there.get("Community", "second")["metadata"]["creationTimestamp"]
        until("it is a second older than what comes now", lambda: f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}" > created)
        there.create(a_link("taker", community="second", domain="meet.shared.test"))
        there.wait_condition("Community", "second", "LoginReady", "False", "DomainTaken")
        there.wait_condition("Community", "second", "Ready", "True", "Served")
        there.wait_condition("TVoxLink", "taker", "Accepted", "False", "DomainTaken")
        api.delete("Community", "first")
        there.wait_condition("Community", "second", "LoginReady", "False", "NoPasswords", 30)
    finally:
        server.delete("Namespace", other)
