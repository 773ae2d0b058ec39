"""The Secrets of what is ordered by ACME: the account's key, and each certificate."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

from mcs_operator.domain.decide import decide
from mcs_operator.domain.facts.keys import KeyPair
from mcs_operator.domain.facts.orders import Issued, Orders
from mcs_operator.render.render import render
from mcs_operator.settings import Settings, certificate_secret
from support.worlds import ACCOUNT, KEY, given, instance, keys_for, ordering

SERVER = {"acme": {"server": "https://acme.example.com/directory"}}
KEPT = instance(tls=SERVER, retain={"pki": "Retain"})
NAME = certificate_secret("mcs", "acme.mcs.test")
ISSUED = Orders(issued={"acme.mcs.test": Issued(NAME, KeyPair("CHAIN", "KEY"))})


def secrets(of: Any, account: Any = ACCOUNT, orders: Orders = ISSUED) -> dict[str, dict[str, Any]]:
    world = given(of, orders=orders)
    plan = decide(world)
    desired = render(world, plan, replace(keys_for(plan), account=account), Settings())
    return {m.name: m.body for m in desired.manifests if m.kind == "Secret" and "-acme-" in m.name}


def test_the_accounts_key_is_kept_in_a_secret_and_outlives_the_instance() -> None:
    body = secrets(KEPT)["mcs-acme-account"]
    assert base64.b64decode(body["data"]["tls.key"]).decode() == KEY
    assert "ownerReferences" not in body["metadata"]
    assert body["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "mcs-operator"


def test_a_users_own_account_is_not_copied() -> None:
    assert "mcs-acme-account" not in secrets(ordering(accountSecretRef={"name": "ours"}))


def test_what_was_issued_is_kept_as_a_certificate_that_names_its_domain() -> None:
    body = secrets(KEPT)[NAME]
    assert body["type"] == "kubernetes.io/tls"
    assert {name: base64.b64decode(text).decode() for name, text in body["data"].items()} == {
        "tls.crt": "CHAIN",
        "tls.key": "KEY",
    }
    assert body["metadata"]["annotations"] == {"mcs.tvox.io/domain": "acme.mcs.test"}
    assert "ownerReferences" not in body["metadata"]


def test_they_go_with_an_instance_whose_keys_are_to_go_with_it() -> None:
    for body in secrets(instance(retain={"pki": "Delete"}, tls=SERVER)).values():
        assert [owner.get("controller") for owner in body["metadata"]["ownerReferences"]] == [None]


def test_what_is_kept_is_not_written_again_and_nothing_is_without_a_server() -> None:
    assert secrets(ordering(), orders=Orders()).keys() == {"mcs-acme-account"}
    assert secrets(instance(), account=None, orders=Orders()) == {}


def test_the_longest_name_has_a_secret_of_its_own() -> None:
    domain = ".".join(["x" * 63] * 3 + ["y" * 60])
    assert len(certificate_secret("i" * 40, domain)) == 62
    assert certificate_secret("mcs", domain) != certificate_secret("mcs", "a." + domain)
