"""Requests to erase a user's data, as they stand in a Secret that anybody may have written."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from mcs_operator.api.erasure import LARGEST, MOST, Erasure, erasures_in

ID = "0123456789abcdef" * 2


def body(text: str | bytes) -> dict[str, Any]:
    raw = text.encode() if isinstance(text, str) else text
    return {"data": {".erase": base64.b64encode(raw).decode(), ".htpasswd": "x"}}


def test_a_line_is_a_user_and_the_id_of_the_request() -> None:
    assert erasures_in(body(f"ada:{ID}\nanna.rossi@x:{'f' * 32}\n")) == (
        Erasure("ada", ID),
        Erasure("anna.rossi@x", "f" * 32),
    )
    assert "ada" not in repr(erasures_in(body(f"ada:{ID}\n")))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ada",
        "ada:",
        f":{ID}",
        f"Ada:{ID}",
        f"ada:{ID}0",
        f"ada:{ID[1:]}",
        f"ada:{ID.upper()}",
        f"ada: {ID}",
        f"*:{ID}",
    ],
)
def test_what_is_no_such_line_asks_for_nothing_and_the_others_do(line: str) -> None:
    assert erasures_in(body(f"{line}\nbob:{'b' * 32}\n")) == (Erasure("bob", "b" * 32),)


@pytest.mark.parametrize(
    "odd",
    [
        {}, {"data": None}, {"data": []}, {"data": {".erase": 7}}, {"data": {".erase": "%"}},
        body(b"\xff"), body("x" * 3 * LARGEST), {"stringData": {".erase": f"ada:{ID}"}},
    ],
)  # fmt: skip
def test_whatever_is_there_nothing_is_erased_for_a_mistake(odd: dict[str, Any]) -> None:
    assert erasures_in(odd) == ()


def test_an_id_that_stands_at_two_users_asks_for_nothing() -> None:
    """Only one of them would be told as erased: nobody knows which."""
    assert erasures_in(body(f"ada:{ID}\nbob:{ID}\ncyd:{'c' * 32}\n")) == (Erasure("cyd", "c" * 32),)


def test_there_are_not_more_than_so_many_and_an_id_counts_once() -> None:
    lines = [f"user{number}:{number:032x}\n" for number in range(MOST + 10)]
    assert len(erasures_in(body("".join(lines)))) == MOST
    assert len(erasures_in(body(lines[0] * 5))) == 1
