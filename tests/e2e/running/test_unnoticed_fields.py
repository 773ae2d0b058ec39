"""Fields that nobody notices, one after the other. After all other tests of this instance: with the first portal the
media starts what calls need, which has its ports from then on.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from mcs_operator.pki.mint import mint_ca
from support.mcs import COMMUNITY, Mcs
from support.objects import INSTANCE
from support.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("operator")]

FIRST = "acme"
DISRUPTIONS = {
    "windows": [{"schedule": "0 3 1 1 *", "duration": "1h", "timeZone": "Europe/Rome"}],
    "whenIdle": {"seconds": 60},
    "atWindowEnd": "Force",
    "deadline": "168h",
    "rollbackAfter": "10m",
}
ACME = {
    "server": "https://127.0.0.1:14000/dir",
    "email": "certificates@example.com",
    "accountSecretRef": {"name": "nothing"},
    "externalAccountBinding": {"keyID": "kid", "keySecretRef": {"name": "nothing"}},
    "caBundle": base64.b64encode(mint_ca("nobody's", datetime.now(UTC)).cert_pem.encode()).decode(),
    "certificatesPerWeek": 10,
}
"""A server that is not asked: nothing is there, nor is the account."""
HOT: list[tuple[str, str, dict[str, Any]]] = [
    ("MCSInstance", INSTANCE, {"bandwidth": "200M"}),
    ("MCSInstance", INSTANCE, {"drainSeconds": 7}),
    ("MCSInstance", INSTANCE, {"communityLimits": {"users": 900, "links": 200, "calls": 40, "participants": 90}}),
    ("MCSInstance", INSTANCE, {"portals": {"retention": {"chat": "2000h", "files": "2000h"}, "quota": "2Gi"}}),
    ("MCSInstance", INSTANCE, {"retain": {"storage": "Delete", "pki": "Delete", "links": "2h"}}),
    ("MCSInstance", INSTANCE, {"publicAddress": "203.0.113.10"}),
    ("MCSInstance", INSTANCE, {"disruptions": DISRUPTIONS}),
    ("MCSInstance", INSTANCE, {"tls": {"acme": ACME}}),
    ("Community", COMMUNITY, {"displayName": "ACME S.p.A."}),
    ("Community", COMMUNITY, {"defaultFunctions": ["Audio", "Video"]}),
    ("Community", COMMUNITY, {"enabled": False}),
    ("Community", COMMUNITY, {"users": [{"name": "anna", "enabled": False}, {"name": "zoe", "functions": ["Chat"]}]}),
    ("Community", COMMUNITY, {"usersFrom": [{"configMapRef": {"name": "nobody"}}, {"secretRef": {"name": "nobody"}}]}),
    ("Community", COMMUNITY, {"portalDomain": "meet.hot.test", "tls": {"secretRef": {"name": "nothing"}}}),
    ("Community", COMMUNITY, {"authentication": {"passwordsFrom": [{"secretRef": {"name": "nothing"}}]}}),
]
"""Fields of impact Hot that no other test of a node changes, and what to."""


def test_fields_that_are_hot_are_changed_and_undone_and_no_tunnel_notices(mcs: Mcs, globex: str) -> None:
    since = mcs.status(globex)["tunnel"]["since"]
    with mcs.unnoticed(by=(FIRST, globex)):
        for kind, name, fields in HOT:
            before = {field: mcs.api.get(kind, name)["spec"].get(field) for field in fields}
            for spec in (fields, before):
                mcs.api.change(kind, name, **spec)
                until(f"{kind} is told", lambda kind=kind, name=name: is_observed(mcs, kind, name), 20)
        mcs.programmed(globex)
    assert mcs.status(globex)["tunnel"]["since"] == since


def is_observed(mcs: Mcs, kind: str, name: str) -> bool:
    body = mcs.api.get(kind, name)
    return bool(body["status"].get("observedGeneration") == body["metadata"]["generation"])
