"""What a support bundle never has in it, whatever the objects and logs say."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from mcs_operator.cli.redact import redacted
from mcs_operator.cli.scrub import scrubbed
from support.objects import a_community
from support.worlds import KEY, TLS_CRYPT

COPY = {"kubectl.kubernetes.io/last-applied-configuration": '{"data":{"password":"aHVudGVyMg=="}}'}


def body(kind: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "x"}} | more


def test_a_secret_is_its_name_and_labels() -> None:
    metadata = {"name": "x", "labels": {"a": "b"}, "annotations": COPY | {"c": "d"}, "managedFields": [{}]}
    found = redacted(body("Secret", metadata=metadata, type="Opaque", data={"k": "c2VjcmV0"}, stringData={"k": "s"}))
    assert found == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "x",
            "labels": {"a": "b"},
            "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": "<36 characters>",
                "c": "<1 characters>",
            },
        },
        "type": "Opaque",
    }


def test_users_are_counted_and_not_named() -> None:
    community = a_community("acme", users=("anna", {"name": "bruno", "displayName": "Bruno Bianchi"}))
    labelled = {"name": "staff", "labels": {"mcs.tvox.io/users": "true"}}
    file = body("ConfigMap", metadata=labelled, data={"users.yaml": "- {name: anna}"})
    said = yaml.safe_dump_all([redacted(community), redacted(file)])
    assert "anna" not in said
    assert "Bianchi" not in said
    assert "<2 users>" in said
    assert "<14 characters>" in said


def test_what_a_person_sets_the_environment_to_is_left_out_and_ours_stays() -> None:
    ours = {"name": "MCS_LINK_IMAGE", "value": "link:1"}
    env = [{"name": "HTTPS_PROXY", "value": "http://me:hunter2@proxy"}, ours]
    template = {"template": {"spec": {"containers": [{"name": "agent", "env": env}]}}}
    for found in (
        redacted(body("Pod", spec=template["template"]["spec"])),
        redacted(body("StatefulSet", spec=template)),
    ):
        assert "hunter2" not in str(found)
        assert "HTTPS_PROXY" in str(found)
        assert str(ours) in str(found)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        pytest.param(f"before\n{KEY}after", "SECRET==", id="a private key"),
        pytest.param(f"before\n{KEY.partition('-----END')[0]}", "SECRET==", id="a private key that is cut off"),
        pytest.param(f"<tls-crypt>\n{TLS_CRYPT}</tls-crypt>", "0123456789abcdef", id="a static key of OpenVPN"),
        pytest.param("Authorization: Bearer abc.def", "abc.def", id="a bearer token"),
        pytest.param('{"token": "hunter2"}', "hunter2", id="a token in JSON"),
        pytest.param("password=hunter2, user=me", "hunter2", id="a password"),
        pytest.param("got eyJhbGciOiJSUzI1.eyJpc3MiOiJr.c2lnbmF0dXJl.", "eyJpc3MiOiJr", id="a service account's token"),
        pytest.param("dialling http://me:hunter2@proxy:3128", "hunter2", id="a login in an address"),
    ],
)
def test_a_text_has_no_keys_and_no_tokens(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in scrubbed(text)


def test_what_is_no_secret_stays() -> None:
    text = "2026-03-01 link-017: peer 198.51.100.24:1194, fingerprint AA:BB, slot 17, revision 4f2a\n"
    assert scrubbed(text) == text
