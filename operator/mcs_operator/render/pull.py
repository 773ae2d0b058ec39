"""The pods that pull the next images to the media pod's node, before anything is stopped for them. Pure."""

from __future__ import annotations

from mcs_operator.api import MCSInstance
from mcs_operator.contract.digest import canonical, digest
from mcs_operator.domain.facts.world import World
from mcs_operator.domain.manifest import Manifest, Object, Wave
from mcs_operator.domain.pod import sizing
from mcs_operator.domain.pod.template import Template, has_another_image
from mcs_operator.domain.pod.updates import images_of
from mcs_operator.render.objects import build_object
from mcs_operator.settings import IMAGE_PULL, LABEL_NAME

_KEPT = ("tolerations", "imagePullSecrets")
"""What it has of the media pod: it runs on the same node, and pulls with the same secrets."""


def build_image_pulls(world: World, instance: MCSInstance, template: Template, wanted: Object) -> list[Manifest]:
    """One for each image that the running pod is to get in place and has not; ``wanted`` is the pod's spec.

    One that its node has rejected, or that somebody has changed, is useless: it is left out once, so that it is
    deleted, and made anew.
    """
    running, useless = world.pod, {p.name for p in world.pulls if p.made_anew and p.made_anew <= world.now}
    if running is None or running.terminating or not running.node:
        return []
    images = [template.media_image] if has_another_image(running, template) else []
    pulls = (
        _pull(instance, running.node, image, wanted)
        for image in dict.fromkeys(images + list(images_of(running, template)))
    )
    return [pull for pull in pulls if pull.name not in useless]


def _pull(instance: MCSInstance, node: str, image: str, wanted: Object) -> Manifest:
    spec = {
        # By name: no scheduler is asked, and a node that takes no new pods takes this one.
        "nodeName": node,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container(image, wanted["containers"][0]["imagePullPolicy"])],
        **{key: wanted[key] for key in _KEPT if wanted.get(key)},
    }
    # Another node or another image is another pod: nothing of a pod's spec can be changed.
    name = f"{instance.name}-pull-{digest(canonical(spec))[:8]}"
    labels = {LABEL_NAME: IMAGE_PULL}
    body = build_object("v1", "Pod", name, instance, owner=instance, more_labels=labels, spec=spec)
    return Manifest(body, Wave.WORKLOAD)


def _container(image: str, policy: str) -> Object:
    """Whether it ends, or cannot start (not every image has a `true`), the image is there then."""
    return {
        "name": "pull",
        "image": image,
        "imagePullPolicy": policy,
        "command": ["/bin/true"],
        "resources": {
            "requests": {"cpu": "1m", "memory": "8Mi"},
            "limits": {"cpu": "100m", "memory": str(sizing.SLOT_MEMORY_LIMIT)},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
