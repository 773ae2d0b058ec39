"""The published schemas of the contract: both sides keep to the models that they are generated from."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mcs_operator.contract.appliance import ANSWERS, FILES, Connections, Instance, Links
from mcs_operator.contract.digest import canonical
from support.api import ROOT
from support.worlds import ACCOUNT, HASH, community, instance, link, links, passwords, portal
from unit.images.test_rendered_set import mounted

PAGE = (ROOT / "docs" / "appliance-contract.md").read_text()
SCHEMAS = ROOT / "docs" / "contract"


def examples() -> list[dict[str, Any]]:
    """All that the page shows as JSON, abbreviations written out."""
    blocks = re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return [json.loads(re.sub(r'"[0-9a-f]{8}…"|"<SHA-256[^"]*>"', f'"{"a" * 64}"', block)) for block in blocks]


def test_what_the_page_shows_is_as_the_models_say() -> None:
    fitting = [model for model in {*FILES.values(), *ANSWERS.values()} if any(fits(model, one) for one in examples())]
    assert len(fitting) == len({*FILES.values(), *ANSWERS.values()})
    assert all(any(fits(model, one) for model in fitting) for one in examples())


def fits(model: Any, example: dict[str, Any]) -> bool:
    """Whether it is one of these, and has at least one name of its own."""
    names = {field.alias for field in model.model_fields.values()}
    try:
        model.model_validate_json(json.dumps(example))
    except ValidationError:
        return False
    return set(example) <= names


def test_every_file_that_is_rendered_is_as_its_model_says(tmp_path: Path) -> None:
    kept = {"retention": {"chat": "720h", "files": "168h"}, "quota": "1Gi"}
    declared = instance(portals=kept, communityLimits={"calls": 20, "participants": 60})
    acme = portal(users=["ada", "bob"])
    out = link("out", serviceState="OutOfService")
    secret = passwords("passwords", f"ada:{HASH}\n")
    mounted(tmp_path, declared, acme, community("globex", users=["eve"]), secret, links(3), out, account=ACCOUNT)
    found = sorted(path.name for path in tmp_path.iterdir() if path.is_file())
    assert {name.partition("-")[0].removesuffix(".json") for name in found} >= {
        "instance",
        "links",
        "communities",
        "users",
    }
    for name in found:
        FILES[name].model_validate_json((tmp_path / name).read_bytes())


def test_a_name_that_no_page_knows_is_no_part_of_a_file() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        Links.model_validate_json('{"version": 1, "links": [], "more": 1}')
    with pytest.raises(ValidationError, match="version"):
        Links.model_validate_json('{"version": 2, "links": []}')


def test_an_image_may_say_more_than_is_agreed_and_not_less() -> None:
    least = {"connections": 0, "draining": False, "config": None, "users": 0, "links": 0, "error": None}
    assert Connections.model_validate_json(canonical(least | {"own": 1})).contract is None
    with pytest.raises(ValidationError, match="draining"):
        Connections.model_validate_json(canonical({"connections": 0}))


def test_a_published_schema_takes_names_that_are_new() -> None:
    published = {path.name: json.loads(path.read_text()) for path in SCHEMAS.glob("*.schema.json")}
    assert len(published) == 9
    assert "additionalProperties" not in json.dumps(published["instance.schema.json"])
    assert set(published["instance.schema.json"]["required"]) == {
        field.alias for field in Instance.model_fields.values() if field.is_required()
    }
