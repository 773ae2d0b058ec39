"""The webhook's certificate in its Secret, and the API server told to trust it: issued, renewed, repaired.

The order makes it safe to stop anywhere: first the API server trusts the new CA beside the former one, then the new
certificate is written, then the replicas get it from the kubelet, each when it does. The Secret is the truth; what
the API server trusts is brought in line with it.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from mcs_operator.domain.facts.keys import KeyPair
from mcs_operator.kube.client import Api, ApiError
from mcs_operator.kube.resources import SECRETS, WEBHOOK_CONFIGURATIONS, Object
from mcs_operator.pki.webhook import WebhookCertificate, is_due, issue
from mcs_operator.settings import LABEL_MANAGED_BY, OPERATOR, WEBHOOK

log = logging.getLogger(__name__)

LOOK_EVERY = 60.0
"""Seconds between looks at the Secret and the configuration: neither is watched, and neither changes often."""


@dataclass(frozen=True, slots=True)
class Registration:
    """Keeps the webhook of the operator in ``namespace`` registered. ``clock`` gives the present, aware, UTC."""

    api: Api
    namespace: str
    clock: Callable[[], datetime]

    async def run(self) -> None:
        """For ever; what fails is logged once a look, and tried again at the next: whatever somebody wrote into the
        configuration or the Secret, it is no reason to stop leading."""
        while True:
            try:
                await self.keep()
            except ApiError as error:
                log.warning("the webhook's registration was not looked after: %s", error)
            except Exception:
                log.exception("the webhook's registration was not looked after")
            await asyncio.sleep(LOOK_EVERY)

    async def keep(self) -> None:
        """Look once; writes only what differs."""
        configuration = await self.api.get(WEBHOOK_CONFIGURATIONS, None, WEBHOOK)
        if configuration is None:
            log.warning("ValidatingWebhookConfiguration %s is not there: admission checks by schema only", WEBHOOK)
            return
        found = await self.api.get(SECRETS, self.namespace, WEBHOOK)
        known, names = _certificate(found), [f"{WEBHOOK}.{self.namespace}.svc"]
        if known is None or is_due(known, names, self.clock()):
            known = issue(names, self.clock(), known)
            await self._trust(configuration, known.trusted)
            await self.api.apply(SECRETS, _secret(self.namespace, known, configuration))
            log.info("issued the webhook's certificate for %s", names[0])
        else:
            await self._trust(configuration, known.trusted)

    async def _trust(self, configuration: Object, bundle: str) -> None:
        encoded = base64.b64encode(bundle.encode()).decode()
        webhooks = configuration.get("webhooks") or []
        if not webhooks:
            log.warning("ValidatingWebhookConfiguration %s names no webhook: admission checks by schema only", WEBHOOK)
        if all((webhook.get("clientConfig") or {}).get("caBundle") == encoded for webhook in webhooks):
            return
        patch = [
            {"op": "test", "path": "/metadata/uid", "value": configuration["metadata"]["uid"]},
            *(
                {"op": "add", "path": f"/webhooks/{i}/clientConfig/caBundle", "value": encoded}
                for i in range(len(webhooks))
            ),
        ]
        await self.api.patch(WEBHOOK_CONFIGURATIONS, WEBHOOK, patch)


def _certificate(secret: Object | None) -> WebhookCertificate | None:
    """None where there is no Secret, or not all of it: it is made anew."""
    data = (secret or {}).get("data") or {}
    try:
        certificate, key, trusted = (base64.b64decode(data[name]).decode() for name in ("tls.crt", "tls.key", "ca.crt"))
    except (KeyError, ValueError):
        return None
    return WebhookCertificate(KeyPair(certificate, key), trusted)


def _secret(namespace: str, certificate: WebhookCertificate, owner: Object) -> Object:
    """Owned by the configuration, so that it goes with the chart."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": WEBHOOK,
            "namespace": namespace,
            "labels": {LABEL_MANAGED_BY: OPERATOR},
            "ownerReferences": [
                {
                    "apiVersion": WEBHOOK_CONFIGURATIONS.api_version,
                    "kind": WEBHOOK_CONFIGURATIONS.kind,
                    "name": WEBHOOK,
                    "uid": owner["metadata"]["uid"],
                }
            ],
        },
        "type": "kubernetes.io/tls",
        "data": {
            name: base64.b64encode(text.encode()).decode()
            for name, text in (
                ("tls.crt", certificate.serving.cert_pem),
                ("tls.key", certificate.serving.key_pem),
                ("ca.crt", certificate.trusted),
            )
        },
    }
