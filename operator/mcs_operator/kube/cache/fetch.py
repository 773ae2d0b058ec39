"""Read a child anew: the store takes what the API server has of it, or that it is gone."""

from __future__ import annotations

from mcs_operator.kube.cache.child import Child
from mcs_operator.kube.cache.store import Store
from mcs_operator.kube.client import Api
from mcs_operator.kube.resources import Object


async def fetch(api: Api, store: Store, child: Child) -> Object | None:
    """The object; None where it is not there any more."""
    body = await api.get(child.resource, child.namespace, child.name)
    if body is None:
        store.gone(child)
        return None
    store.take(child.resource, body)
    return body
