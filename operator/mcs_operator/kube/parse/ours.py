"""Our three kinds. Their spec is judged by the models; here they get the shape that every other reader relies on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcs_operator.api import Community, InvalidObjectError, MCSInstance, TVoxLink
from mcs_operator.api.base import KubernetesObject
from mcs_operator.api.conditions import Kind
from mcs_operator.domain.facts.world import Unreadable
from mcs_operator.kube.parse.bounds import count, mapping, mappings, text
from mcs_operator.kube.resources import Object
from mcs_operator.settings import FIRST_NUMBER, LAST_NUMBER

_MODELS: Mapping[Kind, type[KubernetesObject]] = {
    Kind.INSTANCE: MCSInstance,
    Kind.COMMUNITY: Community,
    Kind.LINK: TVoxLink,
}
_STORED = "storedSpec"
_SHAPES: Mapping[str, type] = {
    **dict.fromkeys(("instanceRef", "communityRef", "tls", "vpn", "network", "nodeSelector", "authentication"), dict),
    **dict.fromkeys(("domain", "portalDomain", "vpnAddress", "publicAddress", "tier"), str),
    **dict.fromkeys(("users", "usersFrom"), list),
    "enabled": bool,
}
_BELOW: Mapping[str, Mapping[str, type]] = {
    "instanceRef": {"name": str},
    "communityRef": {"name": str},
    "tls": {"secretRef": dict, "acme": dict},
    "vpn": {"caSecretRef": dict, "cidr": str, "basePort": int, "slots": int},
    "network": {"mode": str},
    "authentication": {"passwordsFrom": list},
}
_COUNTED = ("links", "users", "bandwidth")
_CONDITION = ("type", "status", "reason")
_MOST_CONDITIONS = 64


def shaped(body: Object) -> Object:
    """The object with a spec and a status that their readers (admission, metrics, Events, the comparison with what is
    to be written) can read without a question. Where the spec has not that shape, the stored one is kept for `read`,
    which says what is wrong with it."""
    stored = body.get("spec")
    spec = _spec(mapping(stored))
    kept = {} if spec == stored else {_STORED: stored}
    return body | kept | {"spec": spec, "status": _status(mapping(body.get("status")))}


def read(kind: Kind, body: Object) -> KubernetesObject | Unreadable:
    """The object as its model has it, or why it cannot be served."""
    metadata = body["metadata"]
    try:
        return _MODELS[kind].from_object(body | {"spec": body[_STORED]} if _STORED in body else body)
    except InvalidObjectError as error:
        problem = str(error)
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError) as error:
        # A rule of the models met what the schema should have refused.
        problem = f"{kind} {metadata['name']}: cannot be read ({type(error).__name__})"
    return Unreadable(kind, metadata["name"], count(metadata.get("generation")), problem)


def named(spec: Object, *path: str) -> str:
    """The name at the end of a path of mappings, as in spec.tls.secretRef.name; empty where there is none."""
    found: Any = spec
    for step in path:
        found = mapping(found).get(step)
    return text(found)


def users_sources(spec: Object) -> set[tuple[str, str]]:
    """Kind and name of the users files that a Community names."""
    listed = mappings(spec.get("usersFrom"))
    pairs = {("ConfigMap", named(source, "configMapRef", "name")) for source in listed}
    pairs |= {("Secret", named(source, "secretRef", "name")) for source in listed}
    return {(kind, name) for kind, name in pairs if name}


def passwords_sources(spec: Object) -> set[str]:
    """Names of the Secrets with passwords that a Community names."""
    listed = mappings(mapping(spec.get("authentication")).get("passwordsFrom"))
    return {named(source, "secretRef", "name") for source in listed} - {""}


def public_name(kind: str, spec: Object) -> str:
    """The name that an object of ours is reached at, be it served or not: of a Community its portal's."""
    return text(spec.get("portalDomain" if kind == Kind.COMMUNITY else "domain"))


def _spec(spec: Object) -> Object:
    fit = {key: value for key, value in spec.items() if isinstance(value, _SHAPES.get(key, object))}
    for key, shapes in _BELOW.items():
        if key in fit:
            fit[key] = {
                name: value for name, value in mapping(fit[key]).items() if isinstance(value, shapes.get(name, object))
            }
    if "users" in fit:
        fit["users"] = [user for user in mappings(fit["users"]) if isinstance(user.get("enabled", True), bool)]
    return fit


def _status(status: Object) -> Object:
    fit = {key: value for key, value in status.items() if key != "slot"}
    if "conditions" in status:
        fit["conditions"] = [c for c in mappings(status["conditions"]) if _is_condition(c)][:_MOST_CONDITIONS]
    for part in _COUNTED:
        if part in status:
            fit[part] = {key: value for key, value in mapping(status[part]).items() if _is_amount(key, value)}
    if FIRST_NUMBER <= count(status.get("slot")) <= LAST_NUMBER:
        fit["slot"] = status["slot"]
    return fit


def _is_condition(condition: Object) -> bool:
    return all(isinstance(condition.get(key), str) for key in _CONDITION)


def _is_amount(key: str, value: object) -> bool:
    return isinstance(value, str) if key == "total" else count(value, -1) >= 0
