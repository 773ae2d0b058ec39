"""The account by which certificates are ordered: made once, kept, or the user's; its thumbprint is what servers see."""

from __future__ import annotations

from typing import Any

import josepy
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mcs_operator.domain.facts.keys import AcmeAccount
from mcs_operator.domain.facts.world import Damaged, TlsSecret
from mcs_operator.pki.account import account, thumbprint
from mcs_operator.pki.foreign import ForeignError
from support.certificates import key, text_of
from support.worlds import given, instance, ordering


def of_josepy(pem: str) -> str:
    return str(josepy.encode_b64jose(josepy.JWK.load(pem.encode()).thumbprint()))


@pytest.mark.parametrize("secret", [key(), key("b"), rsa.generate_private_key(65537, 2048)], ids=["a", "b", "rsa"])
def test_the_thumbprint_is_the_one_that_the_library_of_orders_sends(secret: Any) -> None:
    pem = text_of(secret)
    assert thumbprint(pem) == of_josepy(pem)
    assert len(thumbprint(pem)) == 43


def test_an_account_is_made_where_there_is_none_and_is_kept() -> None:
    made, problem = account(given(ordering()), ordering())
    assert made is not None
    assert problem == ""
    assert made.thumbprint == of_josepy(made.key_pem)
    kept = AcmeAccount(made.key_pem)
    assert account(given(ordering(), acme_accounts={"mcs": kept}), ordering()) == (made, "")


def test_without_a_server_there_is_none() -> None:
    assert account(given(instance()), instance()) == (None, "")


def test_an_account_of_the_users_is_taken_from_his_secret() -> None:
    own = ordering(accountSecretRef={"name": "ours"})
    assert account(given(own), own)[1].startswith("spec.tls.acme.accountSecretRef: ")
    found, problem = account(given(own, tls_secrets={"ours": TlsSecret("ours", "", text_of(key()))}), own)
    assert found is not None
    assert (found.thumbprint, problem) == (thumbprint(text_of(key())), "")


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "no key",
        text_of(key(), b"password"),
        text_of(ec.generate_private_key(ec.SECP384R1())),
        text_of(rsa.generate_private_key(65537, 1024)),  # noqa: S505 - that is the point
        "x" * 100_000,
    ],
    ids=["nothing", "no key", "encrypted", "P-384", "short", "long"],
)
def test_a_key_that_no_account_can_have_is_told_without_a_word_of_it(secret: str) -> None:
    own = ordering(accountSecretRef={"name": "ours"})
    found, problem = account(given(own, tls_secrets={"ours": TlsSecret("ours", "", secret)}), own)
    assert found is None
    assert "tls.key" in problem
    assert not secret or secret[30:60] not in problem or secret[30:60] == ""
    with pytest.raises(ForeignError):
        thumbprint(secret)


def test_a_secret_of_ours_that_cannot_be_read_is_not_replaced() -> None:
    damaged = Damaged("Secret", "mcs-acme-account", "cannot be read: tls.key missing, too long or no text")
    found, problem = account(given(ordering(), damaged_objects=(damaged,)), ordering())
    assert found is None
    assert "mcs-acme-account" in problem


def test_a_key_does_not_show_up_where_an_account_is_printed() -> None:
    made, _ = account(given(ordering()), ordering())
    assert "PRIVATE" not in repr(made)
