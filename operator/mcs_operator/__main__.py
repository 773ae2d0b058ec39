"""The operator's process: `mcs-operator run`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

import kopf

from mcs_operator.dryrun import dry_run
from mcs_operator.handlers.events import registry_for
from mcs_operator.handlers.namespaces import notice_all
from mcs_operator.handlers.service import Admission, Service
from mcs_operator.settings import Settings


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and run; the exit code."""
    parser = argparse.ArgumentParser(
        prog="mcs-operator",
        description="Runs TVox MCS on Kubernetes. Connects with the pod's service account, or with KUBECONFIG.",
    )
    run = parser.add_subparsers(dest="command", required=True).add_parser("run", help="run the operator until SIGTERM")
    _take_options(run)
    _take_webhook_options(run)
    chosen = parser.parse_args(arguments)
    try:
        settings = Settings.from_environment()
    except ValueError as error:
        parser.error(str(error))
    if chosen.dry_run:
        logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
        logging.getLogger("mcs_operator").setLevel(logging.DEBUG if chosen.verbose else logging.ERROR)
        return asyncio.run(dry_run(settings))
    if chosen.issue_webhook_certificate and not settings.namespace:
        parser.error("--issue-webhook-certificate needs POD_NAMESPACE")
    admission = Admission(
        chosen.webhook_port, chosen.webhook_certificate, chosen.issue_webhook_certificate, chosen.webhook_client_ca
    )
    service = Service(settings, chosen.health_port, admission, chosen.metrics_port)
    return asyncio.run(_run(chosen.log_format, chosen.verbose, service, settings.namespaces))


def _take_options(run: argparse.ArgumentParser) -> None:
    run.add_argument(
        "--dry-run",
        action="store_true",
        help="write nothing: print what would be done now in each namespace, a line each, and exit (0; 1 where that "
        "cannot be told of all namespaces). Needs rights to read only, no Lease; ports are not opened",
    )
    run.add_argument("--log-format", choices=["full", "json"], default="full", help="default: full")
    run.add_argument("--verbose", action="store_true", help="log debug messages of the operator (never of Kopf)")
    run.add_argument(
        "--health-port", type=int, default=0, metavar="PORT", help="serve /healthz and /readyz (default: not)"
    )
    run.add_argument(
        "--metrics-port",
        type=int,
        default=0,
        metavar="PORT",
        help="serve /metrics over TLS to accounts that may get that path (default: not)",
    )


def _take_webhook_options(run: argparse.ArgumentParser) -> None:
    run.add_argument(
        "--webhook-port", type=int, default=0, metavar="PORT", help="serve the validating webhook (default: not)"
    )
    run.add_argument(
        "--webhook-certificate",
        type=Path,
        default=Path("/etc/webhook"),
        metavar="FOLDER",
        help="with tls.crt and tls.key of webhook and metrics, followed when they change (default: %(default)s)",
    )
    run.add_argument(
        "--webhook-client-ca",
        type=Path,
        metavar="FILE",
        help="answer only API servers with a certificate of this CA, followed when it changes (default: any)",
    )
    run.add_argument(
        "--issue-webhook-certificate",
        action="store_true",
        help="the leader keeps that certificate in a Secret, and the API server trusting it; needs POD_NAMESPACE",
    )


async def _run(log_format: str, verbose: bool, service: Service, namespaces: tuple[str, ...]) -> int:
    kopf.configure(log_format=kopf.LogFormat.JSON if log_format == "json" else kopf.LogFormat.FULL)
    logging.getLogger("mcs_operator").setLevel(logging.DEBUG if verbose else logging.INFO)
    logging.getLogger("kopf").setLevel(logging.INFO)  # its debug level logs whole objects
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # "handler succeeded", for every event there is
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    registry = registry_for(service)
    notice_all()

    @kopf.on.cleanup(registry=registry, id="raise-flag")
    async def raise_flag(**_: object) -> None:
        stop.set()  # Kopf took SIGTERM for itself, and would wait 5 s for its own task that waits for this flag

    everywhere = not namespaces
    operator = asyncio.create_task(
        kopf.operator(registry=registry, clusterwide=everywhere, namespaces=namespaces, standalone=True, stop_flag=stop)
    )
    failed = asyncio.create_task(service.failed.wait())
    await asyncio.wait({operator, failed}, return_when=asyncio.FIRST_COMPLETED)
    crashed = failed.done()
    stop.set()
    failed.cancel()
    await asyncio.gather(operator)
    return 1 if crashed else 0


if __name__ == "__main__":
    sys.exit(main())
