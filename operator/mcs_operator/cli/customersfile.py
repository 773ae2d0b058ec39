"""Customers in a CSV file, as a spreadsheet writes it: a first line of titles, then a customer in each. Pure.

Every fault is found, not only the first: who mends a file of 250 lines does so once.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence

from mcs_operator.api.wording import choices
from mcs_operator.cli.customers import COLUMNS, LISTS, Customer, Fault, Value

_ALSO: Mapping[str, str] = {"fqdn": "domain", "address": "vpnaddress", "ip": "vpnaddress", "customer": "name"}
"""What the same columns are called elsewhere."""
_NEEDED = ("name", "domain")
_SEPARATORS = (",", ";", "\t")


class _BrokenError(Exception):
    """From this line on it cannot be read."""

    def __init__(self, line: int, said: str) -> None:
        super().__init__(f"is no CSV: {said}")
        self.line = line


def customers_in(source: str, text: str) -> tuple[list[Customer], list[Fault]]:
    """The customers of a file, and all that is wrong with it."""
    rows = _rows(text)
    try:
        number, titles = next(rows, (1, []))
        columns, faults = _columns(f"{source}, line {number}", titles)
        if faults:
            return [], faults
        customers = []
        for line, cells in rows:
            one, wrong = _customer(f"{source}, line {line}", columns, cells)
            customers.append(one)
            faults += wrong
    except _BrokenError as error:
        return [], [
            Fault(f"{source}, line {error.line}", f"{error}; quotes in a cell are written twice, and it in quotes")
        ]
    if not customers and not faults:
        faults.append(Fault(source, "has no customers: a line for each is to follow the titles"))
    return customers, faults


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that say anything, each with the line in which it begins."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(_SEPARATORS, key=first.count), strict=True)
    begins = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield begins, [cell.strip() for cell in cells]
            begins = reader.line_num + 1
    except csv.Error as error:
        raise _BrokenError(begins, str(error)) from None


def _columns(place: str, titles: Sequence[str]) -> tuple[list[str], list[Fault]]:
    """Which column of ours each of the file's is; "" for one that is none."""
    known = {name.lower(): name for name in COLUMNS}
    found, faults = [], []
    for title in titles:
        plain = re.sub(r"[\s_-]", "", title).lower()
        name = known.get(_ALSO.get(plain, plain), "")
        if not name:
            faults.append(Fault(place, f"column {title!r}: {choices(list(COLUMNS))}; take others out"))
        elif name in found:
            faults.append(Fault(place, f"column {title!r}: {name} stands twice"))
        found.append(name)
    faults += [Fault(place, f"column {name} is missing") for name in _NEEDED if name not in found]
    return found, faults


def _customer(place: str, columns: Sequence[str], cells: Sequence[str]) -> tuple[Customer, list[Fault]]:
    values = {column: cell for column, cell in zip(columns, cells, strict=False) if column and cell}
    one = Customer(place, {column: _value(column, cell) for column, cell in values.items()})
    faults = [] if one.name else [Fault(one.at("name"), "is empty")]
    if len(cells) > len(columns):
        faults.append(Fault(place, f"has {len(cells)} cells for {len(columns)} columns; put commas in quotes"))
    return one, faults


def _value(column: str, cell: str) -> Value:
    """Lists are written in one cell, with spaces, commas or semicolons between."""
    return tuple(filter(None, re.split(r"[\s,;]+", cell))) if column in LISTS else cell
