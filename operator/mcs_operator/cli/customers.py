"""New customers as they are named on the command line or in a row of a file, and the manifests that they become. Pure.

What is wrong is told by the place where it was written: an option, or a line and a column.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcs_operator.api.community import Function
from mcs_operator.cli.files import Document
from mcs_operator.kube.resources import Object
from mcs_operator.settings import API_VERSION, MAX_LINKS

ALL_FUNCTIONS = tuple(str(function) for function in Function)
COLUMNS: Mapping[str, str] = {
    "name": "metadata.name",
    "domain": "spec.domain",
    "vpnAddress": "spec.vpnAddress",
    "community": "spec.communityRef.name",
    "displayName": "spec.displayName",
    "users": "spec.users",
    "functions": "spec.defaultFunctions",
    "portalDomain": "spec.portalDomain",
    "protocol": "spec.protocol",
    "allowedSources": "spec.allowedSources",
}
"""What can be said about a customer, and the field that it becomes."""
LISTS = frozenset({"users", "functions", "allowedSources"})
_OF_COMMUNITY = ("displayName", "functions", "portalDomain")
"""What a Community has once, however many TVoxes are its."""
_UNIQUE = ("name", "domain", "vpnAddress")
Value = str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Customer:
    """``place``: where it stands, such as "customers.csv, line 12"; "" is the command line. ``given``: by column; what
    was left empty is not in it."""

    place: str
    given: Mapping[str, Value]

    def text(self, column: str) -> str:
        """One value; "" where it was left empty."""
        value = self.given.get(column, "")
        return value if isinstance(value, str) else " ".join(value)

    def texts(self, column: str) -> tuple[str, ...]:
        """The values of a list."""
        value = self.given.get(column, ())
        return (value,) if isinstance(value, str) else value

    @property
    def name(self) -> str:
        """Name of its TVoxLink."""
        return self.text("name")

    @property
    def community(self) -> str:
        """Name of its Community: that of the TVoxLink, where no other one was named."""
        return self.text("community") or self.name

    def at(self, column: str) -> str:
        """The place of one of its values."""
        if self.place:
            return f"{self.place}, column {column}"
        option = "".join(f"-{c.lower()}" if c.isupper() else c for c in column)
        return "NAME" if column == "name" else f"--{option.removesuffix('s') if column in LISTS else option}"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and where that was written."""

    place: str
    message: str

    @property
    def is_of_name(self) -> bool:
        """Whether it is about a name, which several objects have."""
        return self.place.endswith(("column name", "column community", "--community")) or self.place == "NAME"

    @property
    def line(self) -> int:
        """For sorting: the line of a file; 0 where there is none."""
        found = re.search(r", line (\d+)(, column \w+)?$", self.place)
        return int(found[1]) if found else 0

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


@dataclass(frozen=True, slots=True)
class Manifests:
    """What the customers become: each object with the customer whose it is; Communities before their links."""

    documents: tuple[tuple[Customer, Document], ...]
    customers: tuple[Customer, ...]

    @classmethod
    def of(cls, customers: Sequence[Customer], instance: str, namespace: str) -> Manifests:
        """One Community for all customers that name it, and a TVoxLink for each."""
        found: list[tuple[Customer, Document]] = []
        for name, members in communities(customers).items():
            place = {"name": name} | ({"namespace": namespace} if namespace else {})
            found.append((members[0], Document(members[0].place, _community(place, members, instance))))
            for one in members:
                found.append((one, Document(one.place, _link(place | {"name": one.name}, one, instance))))
        return cls(tuple(found), tuple(customers))

    @property
    def all(self) -> list[Document]:
        """The objects."""
        return [document for _, document in self.documents]

    def is_given(self, document: Document, path: str) -> bool:
        """Whether somebody wrote this value of an object, or it follows from others."""
        if path in ("spec.instanceRef.name", COLUMNS["community"]):
            return True
        mine = [c for c in self.customers if document.name == (c.community if document.kind == "Community" else c.name)]
        return any(COLUMNS[column] == path for one in mine for column in one.given)

    def fault(self, document: Document, message: str) -> Fault:
        """What is said of one of them, at the place of the value that it is said of."""
        customer = next(c for c, d in self.documents if d is document)
        path, colon, rest = message.partition(": ")
        column = _column(document, customer, path) if colon else ""
        return Fault(customer.at(column), rest) if column else Fault(customer.place, message)


def _column(document: Document, customer: Customer, path: str) -> str:
    field = path.partition("[")[0]
    from_name = document.kind == "Community" and field.startswith(("metadata.name", "spec.authentication"))
    if from_name or field == COLUMNS["community"]:
        return "community" if "community" in customer.given else "name"
    return next((column for column, one in COLUMNS.items() if one == field), "")


def communities(customers: Iterable[Customer]) -> dict[str, list[Customer]]:
    """The customers of each Community, in the order in which they stand."""
    found: dict[str, list[Customer]] = {}
    for one in customers:
        found.setdefault(one.community, []).append(one)
    return found


def wrong_together(customers: Sequence[Customer]) -> Iterator[Fault]:
    """What no row shows by itself, and needs no cluster to be known."""
    for column in _UNIQUE:
        seen: dict[str, Customer] = {}
        for one in customers:
            value = one.text(column)
            if value and (first := seen.setdefault(value, one)) is not one:
                yield Fault(one.at(column), f"{value!r} stands in {_line(first)} too")
    for name, members in communities(customers).items():
        for column in _OF_COMMUNITY:
            said = [one for one in members if column in one.given]
            first = said[0] if said else members[0]
            for one in said[1:]:
                if one.given[column] != first.given[column]:
                    told = f"{one.text(column)!r}, and {_line(first)} says {first.text(column)!r} of Community {name!r}"
                    yield Fault(one.at(column), told)
    if len(customers) > MAX_LINKS:
        rest = customers[MAX_LINKS]
        yield Fault(rest.place, f"is one too many: an MCSInstance has at most {MAX_LINKS} TVoxLinks; use two files")


def _line(customer: Customer) -> str:
    return customer.place.rpartition(", ")[2]


def _community(metadata: Mapping[str, str], members: Sequence[Customer], instance: str) -> Object:
    once = {column: one.given[column] for one in reversed(members) for column in _OF_COMMUNITY if column in one.given}
    users = [name for one in members for name in one.texts("users")]
    several = len(members) > 1  # a user of two TVoxes of one customer is one user
    spec: dict[str, Any] = {"instanceRef": {"name": instance}}
    if "displayName" in once:
        spec["displayName"] = once["displayName"]
    spec["defaultFunctions"] = list(once.get("functions", ALL_FUNCTIONS))
    if users:
        spec["users"] = [{"name": name} for name in (dict.fromkeys(users) if several else users)]
    if "portalDomain" in once:
        spec["portalDomain"] = once["portalDomain"]
        spec["authentication"] = {"passwordsFrom": [{"secretRef": {"name": f"{metadata['name']}-passwords"}}]}
    return {"apiVersion": API_VERSION, "kind": "Community", "metadata": dict(metadata), "spec": spec}


def _link(metadata: Mapping[str, str], customer: Customer, instance: str) -> Object:
    spec: dict[str, Any] = {
        "instanceRef": {"name": instance},
        "communityRef": {"name": customer.community},
        "domain": customer.text("domain"),
    }
    for column in ("protocol", "vpnAddress"):
        if column in customer.given:
            spec[column] = customer.text(column)
    if "allowedSources" in customer.given:
        spec["allowedSources"] = list(customer.texts("allowedSources"))
    return {"apiVersion": API_VERSION, "kind": "TVoxLink", "metadata": dict(metadata), "spec": spec}
