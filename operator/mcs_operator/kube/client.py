"""The thin client of the Kubernetes API: plain dictionaries in and out, one bound on requests in flight.

It stands on ``kubernetes.aio`` for what is hard to get right (kubeconfig, exec plugins, in-cluster tokens that
rotate, TLS, proxies) and leaves its typed models alone: they would cost a second of start-up and refuse objects
that the API server accepts.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from kubernetes.aio import client

from mcs_operator.kube.errors import ApiError as ApiError  # noqa: PLC0414 - whoever has the client handles its error
from mcs_operator.kube.errors import NotLeadingError, answered
from mcs_operator.kube.kubeconfig import DEFAULT, Kubeconfig
from mcs_operator.kube.resources import PODS, Object, Resource
from mcs_operator.kube.wire import TooLargeError, WatchEvent, bytes_of, error_of, next_event, parsed, plural
from mcs_operator.settings import OPERATOR
from mcs_operator.telemetry import Counter, Histogram, Metric

_JSON = "application/json"
Operations = list[dict[str, Any]]
"""A JSON patch."""

_DIGITS = re.compile(r"[0-9]{1,9}", re.ASCII)
_METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_METADATA_ONLY_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_FIRST_PAGE, _LARGEST_PAGE = 100, 500
"""Objects in a page of a list: as many as have come to some three megabytes before."""
_PAGE_BYTES = 4 * 1024 * 1024
"""Of one page, at most: what is larger is asked for again in smaller parts. Anybody may fill 500 Secrets with 1 MiB
each, or 500 objects' annotations, and a page is held, and parsed, as a whole."""

REQUESTS = Metric(
    "mcs_operator_api_requests_total",
    "counter",
    "Requests to the API server, a watch counted when it begins; code is the HTTP status, or error without an answer.",
    ("method", "resource", "code"),
)
REQUEST_SECONDS = Metric(
    "mcs_operator_api_request_duration_seconds", "histogram", "Until the API server had answered, watches left out."
)
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Object | Operations | None = None
    content_type: str = _JSON
    accept: str = _JSON


class Api:
    """Requests to one API server. ``in_flight`` bounds concurrency; watches do not count.

    ``may_write`` is asked in the very moment before a request that is no GET leaves: whoever has lost the Lease, or
    slept through its end, sends nothing any more, whatever is still under way.
    """

    def __init__(self, api_client: client.ApiClient, in_flight: int = 16, manager: str = OPERATOR) -> None:
        self.requests, self.seconds = Counter(REQUESTS), Histogram(REQUEST_SECONDS, _BOUNDS)
        self.may_write: Callable[[], bool] = lambda: True
        self._client = api_client
        self._slots = asyncio.Semaphore(in_flight)
        self._manager = manager

    @classmethod
    async def connect(cls, in_flight: int = 16, manager: str = OPERATOR, kubeconfig: Kubeconfig = DEFAULT) -> Api:
        """Connect with the pod's service account, or else with KUBECONFIG (or ~/.kube/config).

        ``manager`` owns the fields that are written, and names us in the API server's audit log.
        """
        configuration = await kubeconfig.configuration()
        configuration.connection_pool_maxsize = 0  # watches hold a connection each; the semaphore bounds the rest
        api_client = client.ApiClient(configuration)
        api_client.user_agent = manager
        return cls(api_client, in_flight, manager)

    async def beside(self, in_flight: int = 2) -> Api:
        """Another client of the same server with connections of its own, whose requests are counted with this one's.

        A thousand writes that wait for a slow server keep none of its requests from being sent.
        """
        configuration = self._client.configuration
        other = Api(client.ApiClient(configuration), in_flight, self._manager)
        other._client.user_agent = self._manager
        other.requests, other.seconds = self.requests, self.seconds
        return other

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()  # type: ignore[no-untyped-call]

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object | None:
        """One object, or None where there is none; ``namespace`` is None for what is in none."""
        try:
            return await self._call(_Request("GET", resource.path(namespace, name)))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def served(self, version: str) -> set[str]:
        """Names of the resources and subresources that the API server serves of the core group."""
        answer = await self._call(_Request("GET", f"/api/{version}"))
        return {str(served.get("name")) for served in answer.get("resources") or []}

    async def version(self) -> tuple[int, int]:
        """Major and minor version of the API server; 0 for what is no number."""
        answer = await self._call(_Request("GET", "/version"))
        major, minor = (_DIGITS.match(str(answer.get(part))) for part in ("major", "minor"))
        return int(major[0]) if major else 0, int(minor[0]) if minor else 0

    async def pages(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
        metadata_only: bool = False,
    ) -> AsyncIterator[tuple[list[Object], str]]:
        """All objects of a kind, a few megabytes at a time, for whoever cannot hold all at once; at least one page,
        each with the list's resourceVersion."""
        accept = _METADATA_ONLY_LIST if metadata_only else _JSON
        query, limit = _selectors(labels, fields), _FIRST_PAGE
        while True:
            query["limit"] = str(limit)
            at_most = _PAGE_BYTES if limit > 1 else None
            try:
                raw = await self._read(_Request("GET", resource.path(namespace), query, accept=accept), at_most)
            except TooLargeError:
                limit = max(1, limit // 8)
                continue
            page = parsed(raw)
            items = page.get("items") or []
            yield items, page["metadata"]["resourceVersion"]
            following = page["metadata"].get("continue")
            if not following:
                return
            query["continue"] = following
            limit = max(1, min(_LARGEST_PAGE, _PAGE_BYTES * 3 // 4 * len(items) // len(raw)))

    async def list(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
        metadata_only: bool = False,
    ) -> tuple[list[Object], str]:
        """All objects of a kind at once, and the list's resourceVersion."""
        items: list[Object] = []
        version = ""
        async for page, listed in self.pages(
            resource, namespace=namespace, labels=labels, fields=fields, metadata_only=metadata_only
        ):
            items += page
            version = listed
        return items, version

    async def create(self, resource: Resource, body: Object) -> Object:
        """Create; 409 AlreadyExists is the caller's to judge (a claim that somebody else holds)."""
        path = resource.path(body["metadata"]["namespace"])
        return await self._call(_Request("POST", path, query={"fieldManager": self._manager}, body=body))

    async def review(self, resource: Resource, spec: Object) -> Object:
        """Ask the API server for its judgement: a create of a kind of which nothing is stored."""
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "spec": spec}
        return await self._call(_Request("POST", resource.path(), body=body))

    async def apply(self, resource: Resource, body: Object, *, status: bool = False, dry_run: bool = False) -> Object:
        """Server-side apply as our field manager, taking fields over where another manager holds them.

        ``dry_run``: every check is made, admission and quota included, and nothing is stored.
        """
        path = resource.path(body["metadata"]["namespace"], body["metadata"]["name"], "status" if status else None)
        query = {"fieldManager": self._manager, "force": "true"} | (
            {"dryRun": "All", "fieldValidation": "Strict"} if dry_run else {}
        )
        return await self._call(
            _Request("PATCH", path, query=query, body=body, content_type="application/apply-patch+yaml")
        )

    async def merge(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        patch: Object,
        *,
        metadata_only: bool = False,
        status: bool = False,
    ) -> Object:
        """JSON merge patch: for the few single fields that are not declared as a whole (an annotation)."""
        return await self._call(
            _Request(
                "PATCH",
                resource.path(namespace, name, "status" if status else None),
                query={"fieldManager": self._manager},
                body=patch,
                content_type="application/merge-patch+json",
                accept=_METADATA_ONLY if metadata_only else _JSON,
            )
        )

    async def strategic_merge(
        self, resource: Resource, namespace: str, name: str, patch: Object, *, sub: str | None = None
    ) -> Object:
        """Strategic merge patch, which finds a pod's containers by their names; of the subresource ``sub``. Only the
        metadata are asked back."""
        return await self._call(
            _Request(
                "PATCH",
                resource.path(namespace, name, sub),
                query={"fieldManager": self._manager},
                body=patch,
                content_type="application/strategic-merge-patch+json",
                accept=_METADATA_ONLY,
            )
        )

    async def patch(self, resource: Resource, name: str, operations: Operations) -> Object:
        """JSON patch of an object that is in no namespace."""
        return await self._call(
            _Request(
                "PATCH",
                resource.path(None, name),
                query={"fieldManager": self._manager},
                body=operations,
                content_type="application/json-patch+json",
            )
        )

    async def replace(self, resource: Resource, body: Object) -> Object:
        """Update the whole object; 409 Conflict where its resourceVersion is not the present one."""
        path = resource.path(body["metadata"]["namespace"], body["metadata"]["name"])
        return await self._call(_Request("PUT", path, query={"fieldManager": self._manager}, body=body))

    async def delete(self, resource: Resource, namespace: str, name: str, *, uid: str, version: str = "") -> bool:
        """Delete exactly this object, in exactly this version if one is given; False where it is not there any more."""
        known = {"uid": uid} | ({"resourceVersion": version} if version else {})
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": known}
        try:
            await self._call(_Request("DELETE", resource.path(namespace, name), body=body))
        except ApiError as error:
            if error.status in (404, 409):
                return False
            raise
        return True

    async def try_deletion(self, resource: Resource, namespace: str, name: str) -> None:
        """Whether an object may be deleted: every check is made, and nothing is deleted."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"]}
        await self._call(_Request("DELETE", resource.path(namespace, name), body=body))

    async def log(self, namespace: str, pod: str, container: str, *, lines: int) -> str:
        """The last lines of what a container said."""
        query = {"container": container, "tailLines": str(lines)}
        raw = await self._read(_Request("GET", PODS.path(namespace, pod, "log"), query, accept="*/*"))
        return raw.decode(errors="replace")

    async def watch(
        self,
        resource: Resource,
        *,
        since: str,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
        metadata_only: bool = False,
    ) -> AsyncIterator[WatchEvent]:
        """Events of a kind after ``since``, in all namespaces or in one, until the server ends the stream (about 5
        minutes).

        A stream that is silent for longer than its own time-out raises NoAnswerError: some load balancers
        drop connections without a word.
        """
        query = {"watch": "true", "resourceVersion": since, "allowWatchBookmarks": "true", "timeoutSeconds": "290"}
        query |= _selectors(labels, fields)
        accept = _METADATA_ONLY if metadata_only else _JSON
        with answered():
            response = await self._send(_Request("GET", resource.path(namespace), query, accept=accept), timeout=300)
        try:
            if response.status != 200:
                with answered():
                    raw = await response.read()
                raise error_of(response.status, response.headers, raw)
            while event := await next_event(response):
                yield event
        finally:
            response.close()

    async def _call(self, request: _Request) -> Object:
        return parsed(await self._read(request))

    async def _read(self, request: _Request, at_most: int | None = None) -> bytes:
        """The answer's bytes; TooLargeError where they are more than ``at_most``: the rest is not read."""
        async with self._slots:
            with answered():
                response = await self._send(request, timeout=30)
                raw = await bytes_of(response, at_most)
        if not 200 <= response.status < 300:
            raise error_of(response.status, response.headers, raw)
        return raw

    async def _send(self, request: _Request, *, timeout: float) -> Any:
        method, path = request.method, request.path
        headers = {"Accept": request.accept, "Content-Type": request.content_type, "User-Agent": self._manager}
        await self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, request.body)
        url = self._client.configuration.host + path + (f"?{urlencode(request.query)}" if request.query else "")
        if method != "GET" and not self.may_write():
            raise NotLeadingError
        begun, watch, code = time.monotonic(), "watch" in request.query, "error"
        try:
            answer = await self._client.call_api(
                method, url, header_params=headers, body=request.body, _request_timeout=timeout
            )
            code = str(answer.response.status)
        finally:
            self.requests.add("WATCH" if watch else method, plural(path), code)
            if not watch:
                self.seconds.observe(time.monotonic() - begun)
        return answer.response  # aiohttp's: the wrapper cannot stream


def _selectors(labels: str, fields: str) -> dict[str, str]:
    selectors = {"labelSelector": labels, "fieldSelector": fields}
    return {name: value for name, value in selectors.items() if value}
