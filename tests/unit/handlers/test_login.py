"""Kopf finds the API server in the pod as our own client does: without the cluster's DNS."""

from __future__ import annotations

import kopf
import pytest

from mcs_operator.handlers.events import as_the_environment_says, registry_for
from mcs_operator.handlers.service import Service
from mcs_operator.settings import Settings

BY_NAME = kopf.ConnectionInfo(server="https://kubernetes.default.svc", token="t", ca_path="/ca.crt", priority=20)


def given(monkeypatch: pytest.MonkeyPatch, host: str, port: str) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)


@pytest.mark.parametrize(
    ("host", "address"),
    [("10.96.0.1", "https://10.96.0.1:6443"), ("fd00::1", "https://[fd00::1]:6443")],
)
def test_the_api_server_is_asked_by_its_address_and_all_else_stays(
    monkeypatch: pytest.MonkeyPatch, host: str, address: str
) -> None:
    given(monkeypatch, host, "6443")
    found = as_the_environment_says(BY_NAME)
    assert (found.server, found.token, found.ca_path, found.priority) == (address, "t", "/ca.crt", 20)


@pytest.mark.parametrize(("host", "port"), [("", "443"), ("10.96.0.1", "")])
def test_where_the_environment_says_nothing_it_is_asked_by_name(
    monkeypatch: pytest.MonkeyPatch, host: str, port: str
) -> None:
    given(monkeypatch, host, port)
    assert as_the_environment_says(BY_NAME) == BY_NAME


def test_it_is_kopf_that_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, "10.96.0.1", "443")
    monkeypatch.setattr(kopf, "login_with_service_account", lambda **_: BY_NAME)
    handlers = registry_for(Service(Settings()))._activities.get_all_handlers()
    (login,) = [handler for handler in handlers if str(handler.id).endswith("login")]
    found = login.fn(settings=kopf.OperatorSettings())
    assert isinstance(found, kopf.ConnectionInfo)
    assert found.server == "https://10.96.0.1:443"
