"""What people may do: with the roles that every cluster has, and as a customer who is let in to his own and no more.

As these people: the API server is asked by impersonation, and answers as it would answer them.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator

import pytest
import yaml

from support.api import ROOT, Api, Object
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.shards import complete_set
from support.snapshots import files, settled
from support.waiting import until

pytestmark = pytest.mark.integration

TENANCY = ROOT / "manifests" / "tenancy"
ALL = ("mcsinstances", "communities", "tvoxlinks")


class Person:
    """Somebody with these groups, in the test's namespace."""

    def __init__(self, api: Api, name: str, *groups: str) -> None:
        self._api = api
        self._as = [f"--as={name}", *(f"--as-group={group}" for group in groups)]

    def can(self, verb: str, what: str, *more: str) -> bool:
        """``what``: a resource, or one object as resource/name."""
        return self._api.kubectl("auth", "can-i", verb, what, *more, *self._as, check=False).strip() == "yes"

    def get(self, what: str) -> Object:
        """One object."""
        body: Object = json.loads(self._api.kubectl("get", what, "--output=json", *self._as))
        return body

    def patch(self, what: str, **spec: object) -> str:
        """Change fields of a spec; what is said against it, or nothing."""
        patch = json.dumps({"spec": spec})
        command = self._api.kubectl_command("patch", what, "--type=merge", f"--patch={patch}", *self._as)
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stderr

    def said(self, *command: str) -> str:
        """What kubectl says to him."""
        return self._api.kubectl(*command, *self._as, check=False, merge=True)


# ------------------------------------------------------------------------------------- the roles that every cluster has


@pytest.fixture(scope="module")
def aggregated(server: Api) -> Iterator[None]:
    """The chart's parts of view, edit and admin."""
    rendered = yaml.safe_load_all((ROOT / "manifests" / "install.yaml").read_text())
    parts = [b for b in rendered if b["kind"] == "ClusterRole" and b["metadata"]["name"] != "mcs-operator"]
    assert [body["metadata"]["name"] for body in parts] == ["mcs-operator-view", "mcs-operator-edit"]
    server.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(parts))
    yield
    server.kubectl("delete", "clusterrole", "mcs-operator-view", "mcs-operator-edit")


@pytest.mark.parametrize("role", ["view", "edit", "admin"])
def test_who_has_a_role_of_the_namespace_has_it_for_our_kinds_too(api: Api, aggregated: None, role: str) -> None:
    person = Person(api, role)
    api.kubectl("create", "rolebinding", role, f"--clusterrole={role}", f"--user={role}")
    until("it is aggregated", lambda: person.can("list", "tvoxlinks"), 20)
    changes = role != "view"
    until("it is bound", lambda: person.can("patch", "tvoxlinks") == changes, 20)
    for kind in ALL:
        assert all(person.can(verb, kind) for verb in ("get", "list", "watch"))
        verbs = ("create", "update", "patch", "delete", "deletecollection")
        assert {person.can(verb, kind) for verb in verbs} == {changes}
        assert not person.can("patch", kind, "--subresource=status"), "a status is told by the operator alone"
    assert person.can("get", "secrets") == changes, "Kubernetes' own: who may edit a namespace reads its Secrets"


# ---------------------------------------------------------------------------------------------------------- a customer


@pytest.fixture(scope="module")
def policy(server: Api) -> Iterator[None]:
    """The cluster's policy for customers."""
    server.kubectl("apply", "-f", str(TENANCY / "policy.yaml"))
    yield
    server.kubectl("delete", "-f", str(TENANCY / "policy.yaml"))


@pytest.fixture
def acme(api: Api, operator: Operator, policy: None) -> Person:
    """An administrator of customer acme, in a namespace with another customer, globex."""
    api.create(an_instance(), a_community("acme", users=("anna",)), a_community("globex"))
    api.create(a_link("acme"), a_link("globex", community="globex"))
    for name in ("acme", "globex"):
        api.wait_condition("TVoxLink", name, "Accepted", "True")
        until("a profile", lambda name=name: api.find("Secret", f"{name}-profile"))
    role = list(yaml.safe_load_all((TENANCY / "customer.yaml").read_text()))
    for body in role:
        body["metadata"]["namespace"] = api.namespace
    api.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(role))
    person = Person(api, "anna@acme.example.com", "acme")
    until("he is let in", lambda: person.can("get", "tvoxlinks/acme"), 20)
    refused = "operations team"
    # By a dry run: a change that is let in before the policy is known is none any more when it is tried again.
    wanted = ("--type=merge", '--patch={"spec": {"domain": "wanted.mcs.test"}}', "--dry-run=server")
    until("the policy is known", lambda: refused in person.said("patch", "tvl/acme", *wanted), 30)
    settled(api)
    return person


def test_a_customer_sees_and_changes_his_own_and_fetches_his_profile(api: Api, acme: Person) -> None:
    assert "AGE" in acme.said("get", "tvl", "--field-selector=metadata.name=acme")
    assert "remote mcs.test" in files(acme.get("secret/acme-profile"))["acme.ovpn"]
    assert acme.patch("tvl/acme", allowedSources=["198.51.100.0/24"], protocol="TCP") == ""
    assert acme.patch("community/acme", users=[{"name": "anna"}, {"name": "bruno"}]) == ""
    until("it is served", lambda: api.get("Community", "acme")["status"]["users"]["served"] == 2)
    assert api.get("TVoxLink", "acme")["spec"]["protocol"] == "TCP"


def test_a_customer_sets_passwords_of_his_own_users_and_reads_no_other_ones(api: Api, acme: Person) -> None:
    """He may name any Secret: one that is labelled for another Community is not believed."""
    api.change("Community", "acme", portalDomain="meet.acme.mcs.test")
    api.change("Community", "globex", portalDomain="meet.globex.mcs.test")
    hashed = base64.b64encode(f"anna:$2y$10${'a' * 53}".encode()).decode()
    for name in ("acme", "globex"):
        metadata = {"name": f"{name}-passwords", "labels": {"mcs.tvox.io/passwords": name}}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {".htpasswd": hashed}}
        api.create(body)
    assert acme.can("patch", "secrets/acme-passwords")
    assert not acme.can("get", "secrets/globex-passwords")
    stolen = {"passwordsFrom": [{"secretRef": {"name": "globex-passwords"}}]}
    assert acme.patch("community/acme", authentication=stolen) == ""
    told = api.wait_condition("Community", "acme", "LoginReady", "False", "PasswordsNotFound")
    assert "label mcs.tvox.io/passwords=acme" in told
    assert not [name for name in complete_set(api) if name.startswith("logins-")]
    own = {"passwordsFrom": [{"secretRef": {"name": "acme-passwords"}}]}
    assert acme.patch("community/acme", authentication=own) == ""
    until("his hash is there", lambda: any(name.startswith("logins-") for name in complete_set(api)))


def test_a_customer_reaches_nothing_of_another_ones(api: Api, acme: Person) -> None:
    secrets = [body["metadata"]["name"] for body in api.list("Secret")]
    assert {"globex-profile", "mcs-link-002", "mcs-link-003", "mcs-ca", "mcs-agent"} <= set(secrets)
    assert [name for name in secrets if acme.can("get", f"secrets/{name}")] == ["acme-profile"]
    for what in ("tvoxlinks/globex", "communities/globex", "mcsinstances/mcs", "secrets/acme-profile"):
        assert not acme.can("patch", what), what
    for what in ("tvoxlinks", "secrets", "configmaps", "pods", "events"):
        assert not acme.can("list", what), what
        assert not acme.can("create", what), what
    assert not acme.can("delete", "tvoxlinks/acme")
    assert "Forbidden" in acme.said("get", "secret", "globex-profile")
    assert "Forbidden" in acme.said("get", "secrets")
    assert "Forbidden" in acme.said("get", "tvl")


TO_ANOTHER_ONE: dict[str, tuple[str, str, Object]] = {
    "his users": ("TVoxLink", "acme", {"communityRef": {"name": "globex"}}),
    "another name": ("TVoxLink", "acme", {"domain": "elsewhere.mcs.test"}),
    "his keys": ("TVoxLink", "acme", {"tls": {"secretRef": {"name": "globex-profile"}}}),
    "his file of users": ("Community", "acme", {"usersFrom": [{"secretRef": {"name": "globex"}}]}),
    "another name for people": ("Community", "acme", {"portalDomain": "meet.globex.mcs.test"}),
    "his certificate": ("Community", "acme", {"tls": {"secretRef": {"name": "globex-tls"}}}),
}


def test_a_customer_cannot_lead_his_link_to_what_is_another_ones(api: Api, acme: Person) -> None:
    for what, (kind, name, spec) in TO_ANOTHER_ONE.items():
        before = api.get(kind, name)["spec"]
        assert "operations team" in acme.patch(f"{kind}/{name}", **spec), what
        assert api.get(kind, name)["spec"] == before, what


def test_whoever_may_change_a_link_but_not_create_one_is_held_whatever_his_role_and_groups(
    api: Api, acme: Person
) -> None:
    """Whoever is bound to a role of somebody's own making is a customer all the same."""
    rule = ("--verb=get,update,patch", "--resource=tvoxlinks,communities")
    api.kubectl("create", "role", "editor", *rule)
    api.kubectl("create", "rolebinding", "editor", "--role=editor", "--group=helpdesk")
    editor = Person(api, "eva@example.com", "helpdesk")
    until("she is let in", lambda: editor.can("patch", "tvoxlinks"), 20)
    for what, (kind, name, spec) in TO_ANOTHER_ONE.items():
        assert "operations team" in editor.patch(f"{kind}/{name}", **spec), what
    assert editor.patch("tvl/acme", protocol="TCP") == ""
    finalizer = '--patch={"metadata": {"finalizers": ["example.com/for-ever"]}}'
    assert "operations team" in editor.said("patch", "tvl/acme", "--type=merge", finalizer)


def test_what_a_customer_may_not_do_kubernetes_own_controllers_still_may(api: Api, acme: Person) -> None:
    """The garbage collector takes a finalizer away where something is deleted in the foreground."""
    api.kubectl("patch", "tvl/acme", "--type=merge", '--patch={"metadata": {"finalizers": ["example.com/a"]}}')
    collector = Person(api, "system:serviceaccount:kube-system:generic-garbage-collector", "system:serviceaccounts")
    said = collector.said("patch", "tvl/acme", "--type=merge", '--patch={"metadata": {"finalizers": null}}')
    assert "patched" in said, said


def test_the_policy_is_about_customers_and_nobody_else(api: Api, acme: Person) -> None:
    api.change("TVoxLink", "acme", domain="moved.mcs.test")
    api.wait_condition("TVoxLink", "acme", "Accepted", "True")
