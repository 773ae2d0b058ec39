"""What a tenant, a stranger or a clumsy tool puts before a door, small; each entry stands for a kind.

`VALUES` go anywhere, `TEXTS` where a file's text is expected. `disturbed` puts them into a good body.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Sequence
from random import Random
from typing import Any

DEEP = 20_000
"""Brackets: more than any reader of JSON or YAML goes down, and still small."""

TEXTS: Sequence[str] = (
    "",
    "null",
    "[]",
    "{}",
    "0",
    '"',
    "[" * DEEP,
    '{"a":' * DEEP,
    "[" * 17 + "]" * 17,
    '"\\' * DEEP,
    '{"slot": 1e999}',
    '{"slot": NaN, "created": Infinity}',
    '{"slot": ' + "9" * 5000 + "}",
    '{"slot": true, "created": 5, "fingerprints": {"sha256": null}}',
    '{"slot": 17, "created": "2026-13-45T99:99:99Z", "fingerprints": [[], 1, null]}',
    '{"slot": 17, "created": "2026-01-01T00:00:00Z", "fingerprints": [' + ",".join(['{"sha256": "AA"}'] * 500) + "]}",
    '{"link": ["acme"], "instance": {"name": "mcs"}, "slot": "017"}',
    '{"version": 1, "users": "anna"}',
    '{"version": 1, "links": [{"name": 5, "number": "x"}, null]}',
    "- name: anna.rossi\n",
    "a: &a [*a, *a]\n",
    "\x00\x1b[2J\u202e",
    "è" * 1000,
    "x" * 200_000,
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "-----BEGIN CERTIFICATE-----\n" * 2000,
    "<peer-fingerprint>\n" + "AA\n" * 5000 + "</peer-fingerprint>",
    "\ud800",
    '{"link": "\\ud800", "instance": "\\uDFFF", "slot": 17}',
)

VALUES: Sequence[Any] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    float("inf"),
    float("nan"),
    10**400,
    "",
    " ",
    "copy",
    "017",
    "٣٣٣",
    "0x11",
    "1e999999999",
    "9" * 400,
    "2026-01-01",
    "2026-02-30T00:00:00Z",
    "../../etc/passwd",
    "x" * 5000,
    [],
    [None],
    [[]],
    ["a", 1],
    {},
    {"name": None},
    {"name": ["mcs"]},
    {"": {"": {}}},
    [{"type": "Ready"}, {"type": 5, "status": [], "reason": {}}, "Ready"],
)


def nested(depth: int) -> Any:
    """A list in a list, so deep."""
    found: Any = []
    for _ in range(depth):
        found = [found]
    return found


def encoded(text: str) -> str:
    """As a Secret's data has it, also where it is no text."""
    return base64.b64encode(text.encode(errors="surrogatepass")).decode()


def disturbed(chance: Random, body: dict[str, Any], times: int) -> dict[str, Any]:
    """The same object with something else in so many places."""
    odd = copy.deepcopy(body)
    for _ in range(times):
        _disturb(chance, odd)
    return odd


def _disturb(chance: Random, body: dict[str, Any]) -> None:
    """Walk down at random, and change what is met."""
    place: Any = body
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = chance.choice(keys)
        below = place[key]
        if isinstance(below, dict | list) and below and chance.random() < 0.8:
            place = below
            continue
        what = chance.random()
        if what < 0.15:
            del place[key]
        elif what < 0.55 and isinstance(below, str):
            text = chance.choice(TEXTS)
            place[key] = encoded(text) if chance.random() < 0.7 else text
        else:
            place[key] = copy.deepcopy(chance.choice(VALUES))
        return
