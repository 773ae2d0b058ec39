"""The operator's own way to an API server: a kubeconfig is used as it says, or refused in one line."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from mcs_operator.kube.kubeconfig import Kubeconfig, KubeconfigError

ROUNDS = int(os.environ.get("MCS_FUZZ", "1000"))


def config(user: dict[str, Any] | None = None, **cluster: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": "https://127.0.0.1:9", **cluster}}],
        "users": [{"name": "u", "user": user or {}}],
    }


def written(path: Path, content: Any) -> str:
    path.write_text(yaml.safe_dump(content))
    return str(path)


async def test_a_token_file_may_end_its_line(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc\n")
    found = await Kubeconfig(written(tmp_path / "k", config({"tokenFile": "token"}))).configuration()
    assert found.api_key == {"BearerToken": "Bearer abc"}
    assert found.host == "https://127.0.0.1:9"


async def test_what_kubectl_would_do_for_a_cluster_is_done(tmp_path: Path) -> None:
    given = {"tls-server-name": "api", "proxy-url": "http://proxy:3128", "insecure-skip-tls-verify": True}
    found = await Kubeconfig(written(tmp_path / "k", config(**given))).configuration()
    assert (found.tls_server_name, found.proxy, found.verify_ssl) == ("api", "http://proxy:3128", False)


async def test_a_file_that_is_missing_is_named_whoever_asked_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = f"{tmp_path}/k:{tmp_path}/k2"
    monkeypatch.setenv("KUBECONFIG", missing)
    with pytest.raises(KubeconfigError, match=f"no usable kubeconfig: {missing} is not there"):
        await Kubeconfig().configuration()
    with pytest.raises(KubeconfigError, match=f"{tmp_path}/own is not there"):
        await Kubeconfig(f"{tmp_path}/own").configuration()
    monkeypatch.setenv("KUBECONFIG", "")
    with pytest.raises(KubeconfigError, match="no usable kubeconfig: KUBECONFIG names no file"):
        await Kubeconfig().configuration()


@pytest.mark.parametrize("name", ["as", "as-groups", "as-uid", "as-user-extra"])
async def test_whom_somebody_acts_as_is_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(KubeconfigError, match=f"user: {name}: "):
        await Kubeconfig(written(tmp_path / "k", config({name: "jane"}))).configuration()


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        5,
        "x",
        {},
        {"current-context": "c"},
        config() | {"current-context": "zz"},
        config() | {"contexts": None},
        config() | {"contexts": [None]},
        config() | {"clusters": {}},
        config() | {"users": "x"},
        config({"tokenFile": "nothing"}),
        config({"tokenFile": 5}),
        config({"client-certificate": "nothing"}),
        config({"auth-provider": {"name": "oidc"}}),
        config({"auth-provider": {"name": "oidc", "config": {"id-token": "x"}}}),
        config({"username": 5, "password": 5}),
    ],
)
async def test_what_is_wrong_is_one_error(tmp_path: Path, content: Any) -> None:
    with pytest.raises(KubeconfigError, match="no usable kubeconfig"):
        await Kubeconfig(written(tmp_path / "k", content)).configuration()


async def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="nothing"):
        await Kubeconfig(str(tmp_path / "nothing")).configuration()


async def test_no_kubeconfig_makes_it_fail(tmp_path: Path) -> None:
    chance = random.Random(9)  # noqa: S311 - repeatable, and no secret
    whole = yaml.safe_dump(config({"token": "x", "client-key-data": "eA=="}, **{"proxy-url": "http://p"})).encode()
    values: tuple[Any, ...] = (None, 5, "", "x", [], {}, [None], {"name": "c"}, True, 1.5)
    begun = time.process_time()
    for number in range(ROUNDS // 2):
        cut = chance.randrange(len(whole))
        broken = whole[:cut] + bytes(chance.randrange(256) for _ in range(3)) + whole[cut + chance.randrange(30) :]
        if number % 2:
            body = config({"token": "x"})
            place: Any = body
            while isinstance(place, dict | list) and place:
                key = chance.choice(list(place) if isinstance(place, dict) else range(len(place)))
                if chance.random() < 0.4 or not isinstance(place[key], dict | list):
                    place[key] = chance.choice(values)
                    break
                place = place[key]
            broken = yaml.safe_dump(body).encode()
        (tmp_path / "k").write_bytes(broken)
        try:
            await Kubeconfig(str(tmp_path / "k"), chance.choice(("", "", "c", "zz"))).configuration()
        except KubeconfigError as error:
            assert str(error).startswith("no usable kubeconfig")
    assert time.process_time() - begun < 60
