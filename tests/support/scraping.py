"""A Prometheus' account, and what the operator tells it at /metrics."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator

import yaml

from support.api import Api

ACCOUNT = "mcs-tests-prometheus"
_RBAC = "rbac.authorization.k8s.io"


class Reader:
    """An account with a token, and with the right to get /metrics where ``may``."""

    def __init__(self, server: Api, namespace: str = "default", may: bool = True) -> None:
        self._home, self._may, self._name = server.within(namespace), may, f"{ACCOUNT}-{namespace}"
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": ACCOUNT}}
        bodies = [account, *(self._rights(namespace) if may else ())]
        self._home.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(bodies))
        self.token = self._home.kubectl("create", "token", ACCOUNT, "--duration=4h").strip()

    def _rights(self, namespace: str) -> Iterator[dict[str, object]]:
        rule = {"nonResourceURLs": ["/metrics"], "verbs": ["get"]}
        yield {"apiVersion": f"{_RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": self._name}, "rules": [rule]}
        yield {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": self._name},
            "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": self._name},
            "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}],
        }

    def remove(self) -> None:
        """Account and rights."""
        for what in (f"clusterrolebinding/{self._name}", f"clusterrole/{self._name}", f"serviceaccount/{ACCOUNT}"):
            self._home.kubectl("delete", "--ignore-not-found", what)

    def read(self, port: int, host: str = "127.0.0.1", trust: ssl.SSLContext | None = None) -> str:
        """All metrics; OSError where they are not told."""
        status, text = asked(port, self.token, host, trust)
        if status != 200:
            raise OSError(f"{status}: {text[:200]}")
        return text


def asked(
    port: int, token: str | None, host: str = "127.0.0.1", trust: ssl.SSLContext | None = None
) -> tuple[int, str]:
    """Status and text of the answer to this token. Without ``trust`` the certificate may be anybody's."""
    if trust is None:
        trust = ssl.create_default_context()
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    request = urllib.request.Request(f"https://{host}:{port}/metrics", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30, context=trust) as answer:  # noqa: S310 - https, above
            return int(answer.status), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
