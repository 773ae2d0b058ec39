"""What the operator reads from its environment: a value, or an error that a person understands."""

from __future__ import annotations

import pytest

from mcs_operator.__main__ import main
from mcs_operator.settings import ContainerResources, Settings


@pytest.mark.parametrize("variable", ["MCS_SLOT_RESOURCES", "MCS_AGENT_RESOURCES"])
@pytest.mark.parametrize("text", ["cpu: 5m", "{", "[]", "5", '{"requests": "5m"}', '{"limits": [1]}'])
def test_resources_that_are_none_end_the_start_with_a_sentence(
    variable: str, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(SystemExit) as ended:
        main(["run"])
    assert ended.value.code == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith(f"mcs-operator: error: {variable} is {text!r}, which is not resources in JSON; for example ")


def test_resources_are_read_as_a_pod_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCS_SLOT_RESOURCES", '{"requests": {"cpu": 1}, "limits": null}')
    monkeypatch.setenv("MCS_AGENT_RESOURCES", "")
    settings = Settings.from_environment()
    assert settings.slot_resources == ContainerResources(requests=(("cpu", "1"),))
    assert settings.agent_resources == ContainerResources()
