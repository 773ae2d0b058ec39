"""On which nodes a volume can be mounted, by its own word: a disk of one node, or of one zone."""

from __future__ import annotations

from mcs_operator.kube.parse.bounds import mapping, mappings, text, texts
from mcs_operator.kube.resources import Object


def volume_of(claim: Object) -> str:
    """Name of the volume that a claim is bound to; empty where it is bound to none yet."""
    return text(mapping(claim.get("spec")).get("volumeName"))


def reaches(volume: Object, node: Object) -> bool:
    """Whether the volume can be mounted on the node. One that says nothing can be mounted anywhere."""
    affinity = mapping(mapping(volume.get("spec")).get("nodeAffinity"))
    if "required" not in affinity:
        return True
    terms = mappings(mapping(affinity["required"]).get("nodeSelectorTerms"))
    metadata = mapping(node.get("metadata"))
    labels, fields = texts(metadata.get("labels")), {"metadata.name": text(metadata.get("name"))}
    return any(_matches(term, labels, fields) for term in terms)


def _matches(term: Object, labels: dict[str, str], fields: dict[str, str]) -> bool:
    """All of a term has to hold; an empty one matches nothing."""
    found = [_holds(one, labels) for one in mappings(term.get("matchExpressions"))]
    found += [_holds(one, fields) for one in mappings(term.get("matchFields"))]
    return bool(found) and all(found)


def _holds(requirement: Object, has: dict[str, str]) -> bool:
    """What a volume never says (Gt, Lt), and what is new, does not hold: the pod stays then."""
    key, values = text(requirement.get("key")), requirement.get("values")
    listed = has.get(key) in values if isinstance(values, list) and key in has else False
    match requirement.get("operator"):
        case "In":
            return listed
        case "NotIn":
            return not listed
        case "Exists":
            return key in has
        case "DoesNotExist":
            return key not in has
        case _:
            return False
