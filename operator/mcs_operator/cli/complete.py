"""`kubectl_complete-mcs`: kubectl asks a program of this name how a command line of the plugin may go on.

It is called with the words so far, the last one unfinished, and answers candidates line by line and then ``:`` with a
directive of cobra's, the library that kubectl is made with: 4, do not offer files; 0, offer them; 2 more, no space.
"""

from __future__ import annotations

import sys

from click.shell_completion import ShellComplete

from mcs_operator.cli.main import cli


def answer(words: list[str]) -> list[str]:
    """How the last of these words may go on, and the directive."""
    done, unfinished = words[:-1], words[-1] if words else ""
    found = ShellComplete(cli, {}, "kubectl-mcs", "_UNUSED").get_completions(done, unfinished)
    files = any(item.type in ("file", "dir") for item in found)
    words = [f"{item.value}\t{item.help}" if item.help else str(item.value) for item in found if item.type == "plain"]
    open_ended = bool(found) and all(str(item.value).endswith("/") for item in found)  # a name follows: no space
    return [*words, f":{(0 if files else 4) + (2 if open_ended else 0)}"]


def main() -> None:
    """The console script `kubectl_complete-mcs`."""
    for line in answer(sys.argv[1:]):
        sys.stdout.write(f"{line}\n")
