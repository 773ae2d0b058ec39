"""Who answers where: listeners with names in containers and on this machine, and questions from a container."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from support.api import Api

_VOICES = (Path(__file__).parent / "voices.py").read_text()
QUESTIONS = (Path(__file__).parent / "questions.py").read_text()


@dataclass
class Voices:
    """A listener; ``heard`` grows with every question that reached it, answered or not."""

    name: str
    heard: list[str] = field(default_factory=list)

    def has_heard(self, place: str) -> bool:
        """Whether the question for this place came here."""
        return f"Host: {place}" in self.heard


@contextmanager
def listening(name: str, places: Sequence[str], prefix: Sequence[str] = ()) -> Iterator[Voices]:
    """Answer with ``name`` at ``places`` (``tcp:80``), here or where the command ``prefix`` leads to."""
    python = [*prefix, "python3"] if prefix else [sys.executable]
    process = subprocess.Popen(
        [*python, "-u", "-c", _VOICES, name, *places], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    voices = Voices(name)
    first = process.stdout.readline().strip()
    reader = threading.Thread(target=_follow, args=(process.stdout, voices), daemon=True)
    reader.start()
    try:
        assert first == "ready", f"nobody listens as {name}: {first}"
        yield voices
    finally:
        if process.stdin:
            process.stdin.close()
        process.wait(timeout=20)
        reader.join(timeout=5)


def _follow(output: Iterator[str], voices: Voices) -> None:
    for line in output:
        voices.heard.append(line.strip())


def in_container(api: Api, pod: str, container: str) -> list[str]:
    """The prefix that leads into a container of a pod."""
    return api.kubectl_command("exec", "-i", pod, "-c", container, "--")


def ask(api: Api, pod: str, container: str, places: Sequence[str]) -> list[str | None]:
    """What answers at these places (``tcp:10.0.0.1:80``) when asked from a container."""
    said = api.kubectl("exec", pod, "-c", container, "--", "python3", "-c", QUESTIONS, "-", "1", *places, timeout=120)
    answers: list[str | None] = json.loads(said)
    return answers
