"""What is secret, or somebody's name, is in no `repr`: objects end up in logs and in the messages of assertions."""

from __future__ import annotations

import pytest

from mcs_operator.api.usersfile import ListedUser, UsersFile
from mcs_operator.contract.shards import ServedCertificate
from mcs_operator.domain.facts.keys import Authority, KeyPair
from mcs_operator.domain.facts.world import AgentCredentials, SlotSecret, TlsSecret
from mcs_operator.domain.keyring import LinkKeys
from mcs_operator.media.agents import Endpoint
from support.worlds import NOW, fingerprint, profile, slot

SECRET = "hunter2"
PAIR = KeyPair("certificate", SECRET)


@pytest.mark.parametrize(
    "thing",
    [
        PAIR,
        Authority("certificate", SECRET),
        AgentCredentials(PAIR, SECRET),
        TlsSecret("web", "chain", SECRET),
        ServedCertificate("a.test", "chain", SECRET),
        LinkKeys(PAIR, SECRET, (fingerprint("acme"),), None, "ca"),
        Endpoint("uid", "host", 1, "name", "ca", SECRET),
        SlotSecret(2, "mcs", "acme", "uid", "r", "r", PAIR, SECRET),
        UsersFile("ConfigMap", "staff", (ListedUser(SECRET, SECRET, True, None),), count=1),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_it_is_not_shown(thing: object) -> None:
    assert SECRET not in repr(thing)


def test_nor_in_what_holds_it() -> None:
    shown = repr((profile("acme", 2), slot(2, "acme"), NOW))
    assert "SECRET==" not in shown
    assert "OpenVPN Static key" not in shown


def test_of_a_links_keys_its_pins_are_to_be_had_and_its_secrets_not_shown() -> None:
    pin = fingerprint("acme")
    keys = LinkKeys(PAIR, SECRET, (pin,), None, "ca")
    assert (keys.pins, keys.revoked) == ((pin.sha256,), False)
    assert SECRET not in repr(keys)
