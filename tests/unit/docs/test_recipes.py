"""The recipes for other controllers in docs/gitops.md: what they make is taken, with the label that they name."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from mcs_operator.api.passwords import passwords_in, take_passwords
from mcs_operator.api.usersfile import content_of, take_users_file
from mcs_operator.kube.resources import SECRETS
from mcs_operator.settings import LABEL_PASSWORDS, LABEL_USERS
from support.documented import documents

CONTENT = {
    ".htpasswd": "anna:$2y$10$" + "a" * 53 + "\n",
    "users.yaml": "- name: anna\n",
}


def recipes(kind: str) -> list[dict[str, Any]]:
    return [document for document in documents("docs/gitops.md") if document["kind"] == kind]


def made(recipe: dict[str, Any]) -> dict[str, Any]:
    """The Secret that the controller makes of it."""
    spec = recipe["spec"]
    template = spec["template"] if recipe["kind"] == "SealedSecret" else spec["target"]["template"]
    keys = spec["encryptedData"] if recipe["kind"] == "SealedSecret" else template["data"]
    name = recipe["metadata"]["name"]
    data = {key: b64encode(CONTENT[key].encode()).decode() for key in keys}
    return {"metadata": {"name": name, "labels": template["metadata"]["labels"]}, "type": "Opaque", "data": data}


@pytest.mark.parametrize(
    "recipe",
    [*recipes("ExternalSecret"), *recipes("SealedSecret")],
    ids=lambda r: f"{r['kind']} {r['metadata']['name']}",
)
def test_what_a_recipe_makes_has_the_label_and_is_read(recipe: dict[str, Any]) -> None:
    secret = made(recipe)
    labels = secret["metadata"]["labels"]
    if "passwords" in recipe["metadata"]["name"]:
        assert labels == {LABEL_PASSWORDS: "acme"}
        assert take_passwords("acme-passwords", "acme", passwords_in(secret)).problem == ""
    else:
        assert labels == {LABEL_USERS: "true"}
        assert take_users_file("Secret", "acme-users", content_of(SECRETS.kind, secret)).problem == ""


def test_a_name_is_a_service_without_an_address() -> None:
    (service,) = recipes("Service")
    assert (service["spec"]["type"], service["spec"]["externalName"]) == ("ExternalName", "mcs.example.com")
