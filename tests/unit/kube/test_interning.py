"""Texts that recur are held once, and nothing else changes."""

from __future__ import annotations

import json

from mcs_operator.kube.cache.interning import interned

BODY = json.dumps({"kind": "TVoxLink", "list": [{"reason": "Accepted", "n": 1, "none": None}], "empty": {}})


def test_what_is_shared_is_equal() -> None:
    assert interned(json.loads(BODY)) == json.loads(BODY)


def test_keys_and_short_texts_of_two_answers_are_the_same_object() -> None:
    one, other = interned(json.loads(BODY)), interned(json.loads(BODY))
    assert [key is twin for key, twin in zip(one, other, strict=True)] == [True] * len(one)
    assert one["list"][0]["reason"] is other["list"][0]["reason"]


def test_a_long_text_is_nobody_elses() -> None:
    text = "x" * 129
    assert interned({"text": text})["text"] is text


def test_the_original_stays_as_it_was() -> None:
    body = json.loads(BODY)
    interned(body)["list"].append("more")
    assert body == json.loads(BODY)
