"""Quantities as Kubernetes reads them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from mcs_operator.api.quantity import parse_quantity


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("500m", "0.5"),
        ("2", "2"),
        ("1.5", "1.5"),
        ("8G", "8000000000"),
        ("1Ki", "1024"),
        ("1.5Gi", "1610612736"),
        ("1e3", "1000"),
        ("100n", "0.0000001"),
        ("0", "0"),
        (8, "8"),
    ],
)
def test_quantities(text: str | int, amount: str) -> None:
    assert parse_quantity(text) == Decimal(amount)


@pytest.mark.parametrize("text", ["", "x", "5 Gi", "1g", "--1", "1.5.2"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        parse_quantity(text)


QUANTITIES = {
    "n": "1e-9", "u": "1e-6", "m": "1e-3", "": "1", "k": "1e3", "M": "1e6", "G": "1e9", "T": "1e12", "P": "1e15",
    "E": "1e18", "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60, "e3": "1e3",
    "E-2": "1e-2",
}  # fmt: skip


@pytest.mark.parametrize("suffix", QUANTITIES)
def test_a_quantity_is_what_kubernetes_takes_it_for(suffix: str) -> None:
    assert parse_quantity(f"3{suffix}") == 3 * Decimal(QUANTITIES[suffix])
    assert parse_quantity(f"-1.5{suffix}") == Decimal("-1.5") * Decimal(QUANTITIES[suffix])
