"""How anything here says no: with a word of the API, which pages translate."""

from __future__ import annotations


class RefusedError(Exception):
    """It is not done. `retry`: seconds after which it may be tried again."""

    def __init__(self, word: str, retry: float = 0) -> None:
        super().__init__(word)
        self.word, self.retry = word, retry
