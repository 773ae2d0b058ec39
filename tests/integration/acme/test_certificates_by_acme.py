"""Certificates from a real ACME server, by the whole operator against a real API server; the real appliance, with its
HAProxy, answers the challenges from the files that the operator wrote.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mcs_operator.settings import certificate_secret
from support.acme_lab import GOOD, LOST, lab, ready
from support.api import Api
from support.objects import a_link
from support.operator import Operator
from support.ports import free_port
from support.quota import until_counted
from support.shards import certificates
from support.snapshots import Audit, settled
from support.waiting import until

pytestmark = pytest.mark.integration


@pytest.fixture
def quiet(operator: Operator) -> Iterator[None]:
    """The usual operator is stopped: one of our own is started. The next test starts it again."""
    operator.stop()
    yield


@pytest.mark.timeout(300)
def test_every_name_gets_its_certificate_hot_and_at_rest_nothing_is_written(
    api: Api, quiet: None, tmp_path: Path
) -> None:
    with lab(api, tmp_path) as it:
        for kind, name in (("MCSInstance", "mcs"), ("TVoxLink", "acme"), ("TVoxLink", "beta"), ("Community", "acme")):
            ready(api, kind, name)
        until("the appliance is told of all", lambda: set(certificates(api)) == set(GOOD), 30)
        root = it.server.root()
        for domain in GOOD:
            shown = until("a browser takes it", lambda domain=domain: it.site.shown(domain, root), 20)
            secret = api.get("Secret", certificate_secret("mcs", domain))
            assert secret["type"] == "kubernetes.io/tls"
            assert secret["metadata"]["annotations"]["mcs.tvox.io/domain"] == domain
            assert shown
        assert it.site.process.poll() is None, "the appliance is the same process all along"

        until_counted(api)
        orders = it.server.orders()
        before = settled(api, quiet=3)
        it.operator.stop()
        audit = Audit.of(api)
        it.operator.start()
        until("it has looked", lambda: bool(it.pod.asked), 30)
        assert settled(api, quiet=5) == before, "an operator that starts anew writes nothing"
        assert audit is None or audit.writes(api.namespace) == []
        assert it.server.orders() == orders, "and orders nothing"
        assert "PRIVATE KEY" not in it.operator.log.read_text()


@pytest.mark.timeout(300)
def test_one_bad_name_delays_nobody_and_is_waited_for_over_a_restart(api: Api, quiet: None, tmp_path: Path) -> None:
    with lab(api, tmp_path) as it:
        ready(api, "TVoxLink", "acme")
        api.create(a_link("lost"), a_link("late", domain="unknown.mcs.test"))
        told = api.wait_condition("TVoxLink", "lost", "CertificateReady", "False", "OrderFailed", 90)
        assert told.startswith(f"{LOST}: 1 order failed, the next is due at 20")
        api.wait_condition("TVoxLink", "lost", "Ready", "True", "Programmed")
        api.wait_condition("TVoxLink", "late", "CertificateReady", "False", "NotResolved", 30)
        ready(api, "Community", "acme")
        until_counted(api)
        orders = it.server.orders()
        before = settled(api, quiet=3)
        it.operator.stop()
        it.operator.start()
        assert settled(api, quiet=6) == before
        assert it.server.orders() == orders


@pytest.mark.timeout(300)
def test_an_image_that_answers_no_challenge_is_named_and_nothing_is_ordered_until_another_one_does(
    api: Api, quiet: None, tmp_path: Path
) -> None:
    with lab(api, tmp_path) as it:
        assert it.pod.appliance is not None
        ready(api, "TVoxLink", "acme")
        it.pod.appliance.answers_challenges = False
        pod = api.get("Pod", "mcs-0")["metadata"]["uid"]
        api.create(a_link("lost", domain=LOST))
        told = api.wait_condition("TVoxLink", "lost", "CertificateReady", "Unknown", "NotSupported", 30)
        assert "answers no challenge" in told
        assert LOST not in it.server.log.read_text()
        api.wait_condition("TVoxLink", "acme", "CertificateReady", "True", "Issued")
        assert api.get("Pod", "mcs-0")["metadata"]["uid"] == pod
        it.pod.appliance.answers_challenges = True
        api.wait_condition("TVoxLink", "lost", "CertificateReady", "False", "OrderFailed", 90)


@pytest.mark.timeout(300)
def test_a_server_that_is_gone_is_told_at_the_instance_and_costs_nobody_anything(
    api: Api, quiet: None, tmp_path: Path
) -> None:
    with lab(api, tmp_path) as it:
        ready(api, "TVoxLink", "acme")
        served = certificates(api)
        gone = it.server.acme() | {"server": f"https://127.0.0.1:{free_port()}/dir"}
        api.merge("MCSInstance", "mcs", {"spec": {"tls": {"acme": gone}}})
        api.create(a_link("lost", domain=LOST))
        told = api.wait_condition("MCSInstance", "mcs", "CertificateReady", "False", "IssuerNotReady", 60)
        assert "does not answer" in told
        api.wait_condition("TVoxLink", "lost", "CertificateReady", "False", "Pending", 30)
        api.wait_condition("TVoxLink", "acme", "CertificateReady", "True", "Issued")
        assert served.items() <= certificates(api).items()
        api.merge("MCSInstance", "mcs", {"spec": {"tls": {"acme": None}}})
        api.wait_condition("MCSInstance", "mcs", "CertificateReady", "True", "Provided", 30)
        assert served.items() <= certificates(api).items(), "what was issued is served on"
