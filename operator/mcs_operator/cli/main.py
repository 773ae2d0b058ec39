"""All commands of `kubectl mcs`. Each is in `commands`, with its options; what it does is imported when it does it."""

from __future__ import annotations

import sys

import click

from mcs_operator.cli.commands import asking, customers, files, looking, support

_COMMANDS = (
    looking.status,
    looking.links,
    looking.interruptions,
    looking.profile,
    customers.add,
    customers.import_,
    files.plan,
    files.validate,
    files.render,
    asking.password,
    asking.forget,
    asking.rotate,
    asking.revoke,
    asking.restart,
    support.size,
    support.support_bundle,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="mcs-operator", prog_name="kubectl mcs")
def cli() -> None:
    """TVox MCS on Kubernetes: look at it, add customers, fetch profiles, plan changes, rotate keys.

    Exit codes: 0 done, 1 refused or failed, 2 wrong usage; `plan` has more.
    """


for _command in _COMMANDS:
    cli.add_command(_command)


def main() -> None:
    """The console script `kubectl-mcs`. A file that cannot be written ends it in one line as well."""
    try:
        cli(prog_name="kubectl mcs")
    except OSError as error:
        click.echo(f"Error: {error.filename or 'output'}: {error.strerror or error}", err=True)
        sys.exit(1)
