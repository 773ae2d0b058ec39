"""Certificates from a real ACME server, by the whole operator against a real API server; the real appliance, with its
HAProxy, answers the challenges from the files that the operator wrote.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mcs_operator.settings import certificate_secret
from support.api import Api
from support.fake_agent import FakeAgent, FakeAppliance, fake_agent, free_base_port
from support.levels import left_out_if_missing
from support.names import knowing
from support.objects import a_community, a_link, an_instance
from support.operator import Operator
from support.pebble import Pebble, pebble
from support.ports import free_port
from support.quota import until_counted
from support.shards import certificates, mounted
from support.snapshots import Audit, settled
from support.waiting import until
from unit.images.test_appliance import APPLIANCE, HAPROXY

pytestmark = pytest.mark.integration

ADDRESS = "10.89.0.1"
OWN, ACME, BETA, PORTAL, LOST = "mcs.test", "acme.mcs.test", "beta.mcs.test", "meet.acme.test", "lost.mcs.test"
GOOD = (OWN, ACME, BETA, PORTAL)


@dataclass
class Site:
    """The real appliance, which is given what the API server has, as a kubelet would."""

    http: int
    https: int
    process: subprocess.Popen[bytes]

    def shown(self, domain: str, root: str) -> str:
        """The certificate that a browser gets which trusts this root, and checks the name."""
        context = ssl.create_default_context(cadata=root)
        raw = socket.create_connection(("127.0.0.1", self.https), 5)
        with raw, context.wrap_socket(raw, server_hostname=domain) as tls:
            return ssl.DER_cert_to_PEM_cert(tls.getpeercert(binary_form=True) or b"")


@contextmanager
def site(api: Api) -> Iterator[Site]:
    root = Path(tempfile.mkdtemp(prefix="mcs-"))
    for name in ("data", "etc", "run"):
        (root / name).mkdir()
    http, https = free_port(), free_port()
    environment = {
        "MCS_CONFIG_DIR": str(root / "etc"),
        "MCS_DATA_DIR": str(root / "data"),
        "MCS_RUN_DIR": str(root / "run"),
        "MCS_INSTANCE": "mcs",
        "MCS_CONTRACT_PORT": str(free_port()),
        "MCS_HTTP_PORT": str(http),
        "MCS_HTTPS_PORT": str(https),
        "MCS_TVOX_PORT": str(free_port()),
        "MCS_HAPROXY": HAPROXY or "",
        "MCS_PROGRAMS": str(root),
        "MCS_POLL_SECONDS": "0.1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = ["/usr/bin/python3", "-m", "appliance"]
    process = subprocess.Popen(command, cwd=APPLIANCE, env=environment, start_new_session=True)
    ended = threading.Event()

    def mount() -> None:
        while not ended.wait(0.3):
            for name, content in sorted(mounted(api).items(), key=lambda item: item[0] == "manifest.json"):
                (root / f".{name}").write_bytes(content)
                (root / f".{name}").replace(root / "etc" / name)

    thread = threading.Thread(target=mount)
    thread.start()
    try:
        yield Site(http, https, process)
    finally:
        ended.set()
        thread.join()
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)
        shutil.rmtree(root)


@dataclass
class Lab:
    """Everything together. ``pod``: the stand-in agent."""

    api: Api
    operator: Operator
    server: Pebble
    site: Site
    pod: FakeAgent


@contextmanager
def lab(api: Api, folder: Path, **acme: Any) -> Iterator[Lab]:
    """An instance that orders, with a community that has a portal, and links acme and beta."""
    with left_out_if_missing():
        within = knowing(dict.fromkeys((*GOOD, LOST), ADDRESS), folder)
    with site(api) as served:
        (folder / "pebble").mkdir()
        with pebble(folder / "pebble", served.http, GOOD) as server:
            operator = Operator(api.kubeconfig, folder / "operator.log", within=within)
            operator.start()
            base = free_base_port()
            tls = {"acme": server.acme(**acme)}
            links = [a_link("acme"), a_link("beta")]
            try:
                api.create(
                    an_instance(vpn={"slots": 6, "basePort": base}, tls=tls), a_community(portalDomain=PORTAL), *links
                )
                with fake_agent(api, base) as agent:
                    agent.appliance = FakeAppliance(api, "mcs")
                    agent.appliance.answers_challenges = True
                    agent.addresses |= dict.fromkeys((*GOOD, LOST), ADDRESS)
                    yield Lab(api, operator, server, served, agent)
            finally:
                operator.stop()


@pytest.fixture
def quiet(operator: Operator) -> Iterator[None]:
    """The usual operator is stopped: one of our own is started. The next test starts it again."""
    operator.stop()
    yield


def ready(api: Api, kind: str, name: str, *, timeout: float = 90) -> str:
    return str(api.wait_condition(kind, name, "CertificateReady", "True", "Issued", timeout))


@pytest.mark.timeout(300)
def test_every_name_gets_its_certificate_hot_and_at_rest_nothing_is_written(
    api: Api, quiet: None, tmp_path: Path
) -> None:
    with lab(api, tmp_path) as it:
        for kind, name in (("MCSInstance", "mcs"), ("TVoxLink", "acme"), ("TVoxLink", "beta"), ("Community", "acme")):
            ready(api, kind, name)
        until("the appliance is told of all", lambda: set(certificates(api)) == set(GOOD), 30)
        root = root_of(it.server)
        for domain in GOOD:
            shown = until("a browser takes it", lambda domain=domain: _shown(it.site, domain, root), 20)
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


def root_of(server: Pebble) -> str:
    """The root of this Pebble's certificates, which no browser knows."""
    context = ssl.create_default_context(cadata=server.ca)
    address = f"https://127.0.0.1:{server.management}/roots/0"
    with urllib.request.urlopen(address, timeout=5, context=context) as answer:
        return str(answer.read().decode())


def _shown(served: Site, domain: str, root: str) -> str:
    try:
        return served.shown(domain, root)
    except OSError:
        return ""
