"""What `helm test` runs in a pod of its own: does the installed operator do its work? Standard library only."""

import json
import os
import ssl
import sys
import time
import urllib.request

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
NAMESPACE = os.environ["POD_NAMESPACE"]
KINDS = {"mcsinstances", "communities", "tvoxlinks"}
PATIENCE = 60.0


def call(path, body=None):
    """Answer of the API server, as JSON, and its warnings."""
    with open(ACCOUNT + "/token") as token:
        headers = {"Authorization": "Bearer " + token.read(), "Content-Type": "application/json"}
    url = "https://{KUBERNETES_SERVICE_HOST}:{KUBERNETES_SERVICE_PORT}".format(**os.environ) + path
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(url, data, headers)
    trust = ssl.create_default_context(cafile=ACCOUNT + "/ca.crt")
    with urllib.request.urlopen(request, timeout=10, context=trust) as answer:
        return json.load(answer), " ".join(answer.headers.get_all("Warning") or [])


def kinds_are_served():
    served = {resource["name"] for resource in call("/apis/mcs.tvox.io/v1alpha1")[0]["resources"]}
    return served >= KINDS or f"missing: {KINDS - served}"


def one_replica_leads():
    path = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/mcs-operator"
    first = call(path)[0]["spec"]
    for _ in range(10):
        time.sleep(0.5)
        lease = call(path)[0]["spec"]
        held, renewed = lease.get("holderIdentity"), lease["renewTime"] != first["renewTime"]
        if held and renewed:
            break
    return bool(held and renewed) or f"held by {held!r}, renewed: {renewed}"


def webhook_answers():
    """A dry run stores nothing. Of a link without an instance the webhook warns; nobody else does."""
    link = {
        "apiVersion": "mcs.tvox.io/v1alpha1",
        "kind": "TVoxLink",
        "metadata": {"name": "helm-test", "namespace": NAMESPACE},
        "spec": {
            "instanceRef": {"name": "helm-test"},
            "communityRef": {"name": "helm-test"},
            "domain": "helm-test.invalid",
        },
    }
    path = f"/apis/mcs.tvox.io/v1alpha1/namespaces/{NAMESPACE}/tvoxlinks?dryRun=All"
    warnings = call(path, link)[1]
    return "no MCSInstance" in warnings or f"no warning of the webhook: {warnings!r}"


def main():
    """Each check until it holds, or patience ends; the exit code is the number of those that do not hold."""
    failed = 0
    deadline = time.monotonic() + PATIENCE
    for check in [kinds_are_served, one_replica_leads, *([webhook_answers] if "webhook" in sys.argv else [])]:
        while True:
            try:
                found = check()
            except OSError as error:
                found = str(error)
            if found is True or time.monotonic() > deadline:
                break
            time.sleep(1)
        failed += found is not True
        print(check.__name__.replace("_", " "), "- ok" if found is True else f"- FAILED: {found}", flush=True)
    return failed


sys.exit(main())
