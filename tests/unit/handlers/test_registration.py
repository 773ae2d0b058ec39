"""The webhook's registration: whatever somebody made of the configuration or the Secret, it goes on looking."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from mcs_operator.handlers.registration import LOOK_EVERY, Registration
from mcs_operator.kube.errors import NoAnswerError
from mcs_operator.kube.resources import SECRETS, Resource
from support.virtual_time import VirtualTime


def a_configuration(**fields: Any) -> dict[str, Any]:
    return {"metadata": {"name": "mcs-operator-webhook", "uid": "u"}} | fields


ODD = {
    "no webhooks": a_configuration(),
    "an empty list of webhooks": a_configuration(webhooks=[]),
    "webhooks that are null": a_configuration(webhooks=None),
    "a webhook without a client": a_configuration(webhooks=[{"name": "a"}]),
}


class FakeApi:
    """Has a configuration and a Secret; ``errors`` are raised one after the other."""

    def __init__(self, configuration: Any = None, secret: Any = None, errors: tuple[Exception, ...] = ()) -> None:
        self.configuration, self.secret, self.errors = configuration, secret, list(errors)
        self.looks, self.patches, self.applied = 0, list[Any](), list[Any]()

    async def get(self, resource: Resource, _: Any, __: str) -> Any:
        if resource is SECRETS:
            return self.secret
        self.looks += 1
        if self.errors:
            raise self.errors.pop(0)
        return self.configuration

    async def apply(self, _: Any, body: Any) -> Any:
        self.applied.append(body)
        self.secret = body
        return body

    async def patch(self, _: Any, __: str, operations: Any) -> Any:
        self.patches.append(operations)


def watched(api: Any, looks: int) -> FakeApi:
    """What became of the API after so many looks; the run must not have ended."""

    async def story() -> None:
        run = asyncio.create_task(Registration(api, "operators", lambda: datetime.now(UTC)).run())
        await asyncio.sleep(LOOK_EVERY * (looks - 0.5))
        assert not run.done(), run
        run.cancel()

    with asyncio.Runner(loop_factory=VirtualTime) as runner:
        runner.run(story())
    found: FakeApi = api
    return found


@pytest.mark.parametrize("configuration", ODD.values(), ids=ODD)
def test_an_odd_configuration_ends_nobodys_leadership(configuration: Any) -> None:
    api = watched(FakeApi(configuration), looks=5)
    assert api.looks == 5
    assert len(api.applied) == 1, "and the certificate is there for when the configuration is right again"


@pytest.mark.parametrize(
    "error",
    [NoAnswerError(TimeoutError()), aiohttp.ServerDisconnectedError(), KeyError("webhooks"), RecursionError()],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_one_look_that_failed(error: Exception) -> None:
    configuration = a_configuration(webhooks=[{"clientConfig": {}}])
    api = watched(FakeApi(configuration, errors=(error, error)), looks=4)
    assert (api.looks, len(api.applied), len(api.patches)) == (4, 1, 2)
