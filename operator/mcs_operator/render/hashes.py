"""Hashes of what a pod is made from, by which one that runs is known. Pure.

By two rules: that of the releases before changes in place, whose hashes have images and sizes in them, and that of
today, whose hashes differ only where another pod is needed.
"""

from __future__ import annotations

from collections.abc import Mapping

from mcs_operator.api import MCSInstance, restart_fields, template_fields
from mcs_operator.contract.digest import canonical, digest
from mcs_operator.domain.manifest import Object


def parts_of(pod: Object) -> tuple[dict[str, str], dict[str, str]]:
    """A hash for each part, so that a pod of an older template can be told apart by name: by the rule of earlier
    releases, and without what can be changed in place."""
    media, agent, *slots = pod["containers"]
    rest = {key: value for key, value in pod.items() if key not in ("containers", "volumes")}
    parts = {"media": media, "agent": agent, "slots": slots, "volumes": pod["volumes"], "pod": rest}
    texts = {name: canonical(part) for name, part in parts.items()}
    lasting = texts | {"media": canonical({key: value for key, value in media.items() if key != "resources"})}
    for image in {container["image"] for container in (*pod["containers"], *pod.get("initContainers", ()))}:
        lasting = {name: text.replace(f'"image":{canonical(image)},', "") for name, text in lasting.items()}
    return _hashes(texts), _hashes(lasting)


def part_hash(part: Object) -> str:
    """Of one part, by the rule of earlier releases."""
    return _hash(canonical(part))


def _hashes(texts: Mapping[str, str]) -> dict[str, str]:
    return {name: _hash(text) for name, text in texts.items()}


def _hash(text: str) -> str:
    return digest(text)[:8]


def restart_hash(instance: MCSInstance) -> str:
    """Hash of the fields whose change the user knows to restart the pod."""
    return digest(canonical(restart_fields(instance)))[:16]


def template_hash(instance: MCSInstance) -> str:
    """The same by the rule of earlier releases, which changed nothing in place: with the image and the size."""
    return digest(canonical(template_fields(instance)))[:16]
