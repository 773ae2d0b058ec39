"""The webhook's certificate: renewed in time, and the former one is trusted while the replicas change over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509

from mcs_operator.domain.facts.keys import KeyPair
from mcs_operator.pki import common_name, issued_by
from mcs_operator.pki.webhook import DAYS, WebhookCertificate, is_due, issue

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NAMES = ["mcs-operator-webhook.mcs-system.svc"]


def bundle(certificate: WebhookCertificate) -> int:
    return len(x509.load_pem_x509_certificates(certificate.trusted.encode()))


def test_it_is_due_after_two_thirds_of_its_life_and_not_before() -> None:
    found = issue(NAMES, NOW)
    due = NOW + timedelta(days=DAYS) * 2 / 3
    assert not is_due(found, NAMES, due - timedelta(minutes=30))
    assert is_due(found, NAMES, due + timedelta(minutes=30))


def test_it_is_due_at_its_second() -> None:
    found = issue(NAMES, NOW)
    due, microsecond = NOW + timedelta(days=DAYS) * 2 / 3, timedelta(microseconds=1)
    assert not is_due(found, NAMES, due - microsecond)
    assert is_due(found, NAMES, due)


def test_whose_it_is_is_told_by_its_names() -> None:
    found = issue(NAMES, NOW)
    assert common_name(found.serving.cert_pem) == "mcs-operator-webhook"
    assert common_name(found.trusted) == "MCS CA webhook"


def test_it_is_due_for_other_names_and_where_it_is_damaged() -> None:
    found, other = issue(NAMES, NOW), issue(NAMES, NOW)
    assert is_due(found, ["else.svc"], NOW)
    assert is_due(WebhookCertificate(found.serving, other.trusted), NAMES, NOW)
    assert is_due(WebhookCertificate(KeyPair(found.serving.cert_pem, other.serving.key_pem), found.trusted), NAMES, NOW)
    assert is_due(WebhookCertificate(KeyPair("x", "y"), "z"), NAMES, NOW)


def test_the_one_before_is_trusted_too_and_the_one_before_that_no_more() -> None:
    first = issue(NAMES, NOW)
    second = issue(NAMES, NOW, first)
    third = issue(NAMES, NOW, second)
    assert (bundle(first), bundle(second), bundle(third)) == (1, 2, 2)
    assert issued_by(second.serving.cert_pem, second.trusted)
    assert first.trusted in second.trusted
    assert first.trusted not in third.trusted


def test_a_damaged_bundle_is_left_behind() -> None:
    former = WebhookCertificate(KeyPair("x", "y"), "no certificate")
    assert bundle(issue(NAMES, NOW, former)) == 1
