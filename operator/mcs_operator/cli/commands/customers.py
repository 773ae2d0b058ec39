"""Commands that bring customers: add for one, import for a file of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from mcs_operator.cli.options import names_of, on_cluster, timeout_option, wait_option

if TYPE_CHECKING:
    from mcs_operator.cli.access import Access

_HOW = (
    click.option("--instance", metavar="NAME", shell_complete=names_of("mcsinstances"), help="Default: the only one."),
    click.option("--folder", type=click.Path(file_okay=False), help="Write the manifests there, a file per Community."),
    click.option("--apply", is_flag=True, help="Create the objects in the cluster."),
    click.option(
        "--filename",
        "-f",
        "beside",
        multiple=True,
        metavar="FILE",
        type=click.Path(),
        help="Manifests that are there already: new ones are checked beside them, without a cluster.",
    ),
    wait_option,
    timeout_option,
    on_cluster,
)


def _how(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_HOW):
        command = option(command)
    return command


@click.command()
@click.argument("name")
@click.option("--domain", required=True, metavar="FQDN", help="What the customer's browsers and apps open.")
@click.option("--community", metavar="NAME", help="Default: the same name.")
@click.option("--display-name", metavar="TEXT", help="Name for people, such as 'ACME Spa'.")
@click.option("--vpn-address", metavar="ADDRESS", help="Default: a free one.")
@click.option("--user", "users", multiple=True, metavar="LOGIN", help="May be repeated.")
@click.option("--function", "functions", multiple=True, metavar="NAME", help="What users may do. Default: all.")
@click.option("--portal-domain", metavar="FQDN", help="Where users log in with a browser. Default: no portal.")
@click.option("--protocol", metavar="UDP|TCP", help="Of the tunnel. Default: UDP.")
@click.option("--allowed-source", "allowed_sources", multiple=True, metavar="NETWORK", help="Default: any.")
@_how
def add(access: Access, name: str, **given: Any) -> None:
    """Make the manifests of one customer, and say what is left to do.

    They are checked, and written to standard output; with --folder to a file for Git; with --apply they are checked
    beside all that is in the namespace, and created.
    """
    from mcs_operator.cli.bringing import Way, bring
    from mcs_operator.cli.customers import COLUMNS, Customer

    options = {column: "".join(f"_{c.lower()}" if c.isupper() else c for c in column) for column in COLUMNS}
    values = {column: given.pop(option, None) for column, option in options.items()} | {"name": name}
    bring([Customer("", {column: value for column, value in values.items() if value})], Way(access, **given))


@click.command("import")
@click.argument("file", metavar="CUSTOMERS.CSV", type=click.Path(allow_dash=True))
@_how
def import_(access: Access, file: str, **given: Any) -> None:
    """Make the manifests of all customers in a CSV file, and say what is left to do.

    The whole file is checked first: where one line is wrong, all that is wrong is told, and nothing is written. With
    --apply it may be run again: what is there already is left as it is.

    Columns: name and domain; and where wanted vpnAddress, community, displayName, users, functions, portalDomain,
    protocol, allowedSources.
    """
    from mcs_operator.cli.bringing import Way, bring
    from mcs_operator.cli.customersfile import customers_in
    from mcs_operator.cli.files import read_text

    customers, faults = customers_in(*read_text(file))
    bring(customers, Way(access, **given), faults)
