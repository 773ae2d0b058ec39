"""The two services a bare node lacks: volumes for claims, and DNS names of Services. One small process for both.

Level-triggered: whatever changes, and every 15 s without a change, the same pass looks at everything.

Volumes are `local`, not `hostPath`, and belong to root (mode 0755), as a fresh disk does: a pod that forgets its
fsGroup fails here as it would on a real cluster. A claim may grow; its size is not enforced.
"""

from __future__ import annotations

import http.client
import queue
import shutil
import threading
import time
from pathlib import Path

from . import settings
from .apiclient import Api, ApiError, Manifest
from .shell import say, write_if_changed

PROVISIONER = "mcs.test/local"
USER = "mcs-node-addons"
CLAIMS = "/api/v1/persistentvolumeclaims"
VOLUMES = "/api/v1/persistentvolumes"
SERVICES = "/api/v1/services"
SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
FAILURES = (OSError, http.client.HTTPException, ApiError, ValueError)
LOOK_EVERY = 15.0  # seconds without an event
SETTLE = 0.2  # one change comes as several events


def serve(api: Api, state: Path) -> None:
    """Never returns; what fails is told and tried again."""
    changes: queue.Queue[str] = queue.Queue()
    for path in (CLAIMS, VOLUMES, SERVICES, SLICES):
        threading.Thread(target=_follow, args=(api, path, changes), daemon=True).start()
    while True:
        try:
            provision(api, state / "volumes")
            publish_names(api, state / "dns" / "services")
        except FAILURES as error:
            say(f"{time.strftime('%H:%M:%S')} {error}")
            time.sleep(1)
        _wait(changes)


def _follow(api: Api, path: str, changes: queue.Queue[str]) -> None:
    """Put the path into the queue whenever something under it changes."""
    while True:
        try:
            # A watch from an explicit version: without one, an etcd without progress events cannot serve quiet kinds.
            version = api.get(f"{path}?limit=1")["metadata"]["resourceVersion"]
            changes.put(path)
            for _event in api.watch(f"{path}?resourceVersion={version}", seconds=300):
                changes.put(path)
        except FAILURES:
            time.sleep(1)


def _wait(changes: queue.Queue[str]) -> None:
    try:
        changes.get(timeout=LOOK_EVERY)
        time.sleep(SETTLE)
        while True:
            changes.get_nowait()
    except queue.Empty:
        return


def provision(api: Api, folder: Path) -> None:
    """One pass: volumes for new claims, more room for grown ones, an end for released volumes."""
    classes = {item["metadata"]["name"]: item for item in api.get("/apis/storage.k8s.io/v1/storageclasses")["items"]}
    ours = {name for name, item in classes.items() if item["provisioner"] == PROVISIONER}
    volumes = {volume["metadata"]["name"]: volume for volume in api.get(VOLUMES)["items"]}
    for claim in api.get(CLAIMS)["items"]:
        if claim["spec"].get("storageClassName") not in ours:
            continue
        volume = volumes.get(_volume_name(claim))
        if volume is None and _wants_volume(claim):
            _create(api, folder, claim)
        elif volume is not None:
            _grow(api, claim, volume)
    for volume in volumes.values():
        if _is_over(volume):
            shutil.rmtree(folder / volume["metadata"]["name"], ignore_errors=True)
            api.delete(f"{VOLUMES}/{volume['metadata']['name']}")


def _volume_name(claim: Manifest) -> str:
    return f"pvc-{claim['metadata']['uid']}"


def _wants_volume(claim: Manifest) -> bool:
    """The scheduler has chosen a node for its first pod, and it has no volume yet."""
    chosen = claim["metadata"].get("annotations", {}).get("volume.kubernetes.io/selected-node")
    return bool(chosen) and not claim["spec"].get("volumeName") and "deletionTimestamp" not in claim["metadata"]


def _create(api: Api, folder: Path, claim: Manifest) -> None:
    metadata, name = claim["metadata"], _volume_name(claim)
    (folder / name).mkdir(parents=True, exist_ok=True)
    # Where there is a second node it is on the same machine. So this stands for storage that both of them reach.
    hosts = [settings.FIRST.name, settings.SECOND.name]
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": hosts}
    spec = {
        "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
        "accessModes": claim["spec"]["accessModes"],
        "persistentVolumeReclaimPolicy": "Delete",
        "storageClassName": claim["spec"]["storageClassName"],
        "claimRef": {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        },
        "local": {"path": str(folder / name)},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
    }
    annotations = {"pv.kubernetes.io/provisioned-by": PROVISIONER}
    api.post(VOLUMES, {"apiVersion": "v1", "kind": "PersistentVolume",
                       "metadata": {"name": name, "annotations": annotations}, "spec": spec})  # fmt: skip
    say(f"volume {name} for {metadata['namespace']}/{metadata['name']}")


def _grow(api: Api, claim: Manifest, volume: Manifest) -> None:
    wanted = claim["spec"]["resources"]["requests"]["storage"]
    has = claim.get("status", {}).get("capacity", {}).get("storage")
    if claim.get("status", {}).get("phase") != "Bound" or has == wanted:
        return
    path, metadata = CLAIMS.rpartition("/")[0], claim["metadata"]
    if volume["spec"]["capacity"]["storage"] != wanted:
        api.patch(f"{VOLUMES}/{volume['metadata']['name']}", {"spec": {"capacity": {"storage": wanted}}})
    api.patch(
        f"{path}/namespaces/{metadata['namespace']}/persistentvolumeclaims/{metadata['name']}/status",
        {"status": {"capacity": {"storage": wanted}, "conditions": []}},
    )


def _is_over(volume: Manifest) -> bool:
    annotations = volume["metadata"].get("annotations", {})
    return (
        annotations.get("pv.kubernetes.io/provisioned-by") == PROVISIONER
        and volume.get("status", {}).get("phase") == "Released"
        and volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
        and "deletionTimestamp" not in volume["metadata"]
    )


def publish_names(api: Api, file: Path) -> None:
    """One pass: `<service>.<namespace>.svc.cluster.local`, and a headless Service's ready addresses and pods."""
    lines = []
    headless = set()
    for service in api.get(SERVICES)["items"]:
        name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
        address = service["spec"].get("clusterIP")
        if address == "None":
            headless.add((namespace, name, service["spec"].get("publishNotReadyAddresses", False)))
        elif address:
            lines.append(f"{address} {name}.{namespace}.svc.cluster.local")
    slices = api.get(SLICES)["items"] if headless else []
    for namespace, name, unready_too in headless:
        lines += _headless_names(namespace, name, unready_too, slices)
    write_if_changed(file, "".join(f"{line}\n" for line in sorted(set(lines))))


def _headless_names(namespace: str, name: str, unready_too: bool, slices: list[Manifest]) -> list[str]:
    domain = f"{name}.{namespace}.svc.cluster.local"
    lines = []
    for part in slices:
        labels = part["metadata"].get("labels", {})
        if part["metadata"]["namespace"] != namespace or labels.get("kubernetes.io/service-name") != name:
            continue
        for endpoint in part["endpoints"] or []:
            if endpoint.get("conditions", {}).get("ready") or unready_too:
                hostname = endpoint.get("hostname")
                names = f"{hostname}.{domain} {domain}" if hostname else domain
                lines += [f"{address} {names}" for address in endpoint["addresses"]]
    return lines
