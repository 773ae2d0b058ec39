"""What `kubectl mcs add` and `import` do: check the customers as a whole, then write manifests or create objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import click

from mcs_operator.cli import adding
from mcs_operator.cli.access import Access, Cluster
from mcs_operator.cli.customers import Customer, Fault, Manifests, wrong_together
from mcs_operator.cli.files import Document, read
from mcs_operator.cli.manifests import as_yaml
from mcs_operator.cli.nextsteps import next_steps
from mcs_operator.cli.plan import stored_in
from mcs_operator.settings import MAX_LINKS

_TOLD = 50
"""Faults that anybody reads at once."""
_USUAL = "mcs"
"""Name of the instance where neither the command line nor any manifest names one."""


@dataclass(frozen=True, slots=True)
class Way:
    """Where the customers go. ``beside``: files of what is there already, where no cluster is asked."""

    access: Access
    instance: str | None
    folder: str | None
    apply: bool
    beside: Sequence[str]
    wait: bool
    timeout: int


def refuse(faults: Sequence[Fault]) -> None:
    """End here if anything is wrong."""
    if not faults:
        return
    for fault in sorted(faults, key=lambda fault: fault.line)[:_TOLD]:
        click.echo(str(fault), err=True)
    if len(faults) > _TOLD:
        click.echo(f"… and {len(faults) - _TOLD} more", err=True)
    found = "1 thing is" if len(faults) == 1 else f"{len(faults)} things are"
    raise click.ClickException(f"{found} wrong: nothing was written")


def bring(customers: Sequence[Customer], way: Way, faults: Sequence[Fault] = ()) -> None:
    """Check all, then write all, and say what is left to do. ``faults``: what is known to be wrong already."""
    if way.apply and (way.folder or way.beside):
        raise click.UsageError("--apply creates objects in the cluster: leave --folder and --filename away")
    named = [one for one in customers if one.name]
    made = Manifests.of(named[:MAX_LINKS], way.instance or _USUAL, "")  # more are refused: do not spend hours on them
    refuse([*faults, *wrong_together(customers), *adding.wrong_by_itself(made)])
    if way.apply:
        way.access.run(lambda cluster: _into_the_cluster(cluster, customers, way))
    else:
        _into_files(customers, way)


async def _into_the_cluster(cluster: Cluster, customers: Sequence[Customer], way: Way) -> None:
    there = [Document("", body) for body in await stored_in(cluster)]
    instance = _instance(way.instance, there)
    if instance is None:
        named = f"MCSInstance {way.instance}" if way.instance else "an MCSInstance"
        raise click.ClickException(f"there is not {named} in namespace {cluster.namespace}; create it first")
    manifests = Manifests.of(customers, instance.name, cluster.namespace)
    missing, faults = await adding.check(cluster, manifests, there, _told)
    refuse(faults)
    if left := len(manifests.all) - len(missing):
        _told(f"{left} of {len(manifests.all)} objects are there already, and stay as they are")
    await adding.create(cluster, manifests, missing, _told)
    if way.wait:
        await adding.accepted(cluster, [one.name for one in customers], way.timeout, _told)
    click.echo(next_steps(customers, cluster.namespace, _domain(instance)))


def _into_files(customers: Sequence[Customer], way: Way) -> None:
    beside = read(way.beside) if way.beside else []
    instance = _instance(way.instance, beside)
    name = way.instance or (instance.name if instance else _USUAL)
    namespace = way.access.namespace or (instance.namespace if instance else "")
    manifests = Manifests.of(customers, name, namespace)
    mine = {document.title for document in manifests.all}
    others = [document for document in beside if document.title not in mine]
    refuse(adding.wrong_beside(manifests, manifests.all, others))
    if way.folder:
        _write(Path(way.folder), manifests)
    else:
        click.echo(as_yaml(document.body for document in manifests.all), nl=False)
    click.echo(next_steps(customers, namespace, _domain(instance)), err=not way.folder)


def _instance(named: str | None, there: Sequence[Document]) -> Document | None:
    found = [d for d in there if d.is_ours and d.kind == "MCSInstance" and d.name == (named or d.name)]
    if len(found) > 1:
        raise click.UsageError(f"--instance: choose one of {', '.join(sorted(d.name for d in found))}")
    return found[0] if found else None


def _domain(instance: Document | None) -> str:
    spec = instance.body.get("spec") if instance else None
    return str(spec.get("domain") or "") if isinstance(spec, dict) else ""


def _write(folder: Path, manifests: Manifests) -> None:
    """A file for each Community with its links. One that is there already, and says something else, ends it."""
    texts: dict[Path, str] = {}
    for name, documents in groupby(manifests.documents, key=lambda pair: pair[0].community):
        bodies = [document.body for _, document in documents]
        texts[folder / f"{name}.yaml"] = as_yaml(bodies)
    refuse([
        Fault(str(path), "is there already, and says something else; move it, or take this customer out")
        for path, text in texts.items()
        if path.exists() and path.read_bytes() != text.encode()
    ])  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        path.write_bytes(text.encode())
        _told(f"{path}: written")


def _told(line: str) -> None:
    click.echo(line, err=True)
