"""How the demo talks: numbered steps, what is being waited for, and how long each took."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
_BOLD, _DIM, _RED, _GREEN, _PLAIN = ("\033[1m", "\033[2m", "\033[31m", "\033[32m", "\033[0m")


class Failed(Exception):  # noqa: N818 - ends the demo with its text
    """Something that the demo shows did not hold."""


class Teller:
    """Prints the story. On a terminal what is waited for replaces itself; elsewhere each change has its own line."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._begun = time.monotonic()
        self._took: list[tuple[str, float]] = []
        self._waiting = self._said = ""

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """One step of the story, timed."""
        begun = time.monotonic()
        self._clear()
        print(f"\n{self._style(_BOLD)}{len(self._took) + 1}. {title}{self._style(_PLAIN)}", flush=True)
        yield
        self._clear()
        self._took.append((title, time.monotonic() - begun))

    def say(self, text: str) -> None:
        """A line of the present step."""
        self._clear()
        print(f"   {text}", flush=True)

    def show(self, text: str) -> None:
        """Output of a program, as it is."""
        self._clear()
        print("\n".join(f"   {self._style(_DIM)}{line}{self._style(_PLAIN)}" for line in text.rstrip().splitlines()))

    def proved(self, text: str, holds: bool) -> bool:
        """A line with a mark: what was to be shown, and whether it held; the same."""
        self._clear()
        mark = f"{self._style(_GREEN)}✔" if holds else f"{self._style(_RED)}✘"
        print(f"   {mark}{self._style(_PLAIN)} {text}", flush=True)
        return holds

    def wait(self, what: str, look: Callable[[], tuple[T | None, str]], timeout: float) -> T:
        """Until ``look`` has a result; it also says what it waits for. Raises Failed after ``timeout`` seconds."""
        begun = time.monotonic()
        while True:
            result, progress = look()
            if result is not None:
                return result
            elapsed = time.monotonic() - begun
            if elapsed > timeout:
                raise Failed(f"{what}: not after {timeout:.0f} s. {progress}")
            self.waiting(f"{what}: {progress}")
            time.sleep(0.3)

    def waiting(self, text: str) -> None:
        """What is being waited for at the moment, with the seconds since the demo began."""
        if text and (self._terminal or text != self._said):
            self._said = text
            self._wait_line(f"   … {text}  [{time.monotonic() - self._begun:.0f} s]")

    def timings(self) -> None:
        """How long each step took."""
        print()
        for number, (title, seconds) in enumerate(self._took, 1):
            print(f"   {number:2}. {title:76} {seconds:6.1f} s")
        print(f"       {'in all':76} {time.monotonic() - self._begun:6.1f} s")

    def _wait_line(self, text: str) -> None:
        if self._terminal:
            print(f"\r\033[K{text[:150]}", end="", flush=True)
            self._waiting = text
        else:
            print(text, flush=True)

    def _clear(self) -> None:
        if self._waiting:
            print("\r\033[K", end="")
            self._waiting = ""

    def _style(self, code: str) -> str:
        return code if self._terminal else ""
