"""A new password: hashed here, stored as one line, printed once, and nobody else's line is touched."""

from __future__ import annotations

import asyncio
import base64
import io
from typing import Any

import click
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from mcs_operator.api.passwords import LARGEST_FILE, read_passwords, wrong_hash
from mcs_operator.cli import password as command
from mcs_operator.cli.access import Access, Cluster
from mcs_operator.cli.main import cli
from mcs_operator.kube.client import ApiError
from mcs_operator.kube.resources import COMMUNITIES, Resource
from mcs_operator.settings import LABEL_PASSWORDS
from support.objects import a_community

LINE = "ada:new"
BCRYPT = "$2y$10$" + "a" * 53


def a_secret(text: str | None, label: str | None = "acme", version: str = "7") -> dict[str, Any]:
    labels = {} if label is None else {LABEL_PASSWORDS: label}
    data = {} if text is None else {".htpasswd": base64.b64encode(text.encode()).decode()}
    return {"metadata": {"name": "x", "labels": labels, "resourceVersion": version}, "data": data}


def with_sources(*secrets: str, **more: Any) -> dict[str, Any]:
    sources = [{"secretRef": {"name": name}} for name in secrets]
    return a_community(users=("ada", "bob"), **{"authentication": {"passwordsFrom": sources}} | more)


class Server:
    """Objects by name, and what is sent; a conflict for so many writes."""

    def __init__(self, community: dict[str, Any], conflicts: int = 0, **secrets: dict[str, Any] | None) -> None:
        self.community, self.secrets, self.conflicts = community, secrets, conflicts
        self.sent: list[tuple[str, Any]] = []

    async def get(self, resource: Resource, namespace: str, name: str) -> Any:
        return self.community if resource is COMMUNITIES else self.secrets.get(name)

    async def create(self, resource: Resource, body: Any) -> Any:
        self._written("create", body)

    async def merge(self, resource: Resource, namespace: str, name: str, patch: Any) -> Any:
        self._written(name, patch)

    def _written(self, what: str, body: Any) -> None:
        self.sent.append((what, body))
        if self.conflicts:
            self.conflicts -= 1
            raise ApiError(409, "Conflict", "the object has been modified")


def store(server: Server, name: str = "ada", line: str = "") -> str:
    cluster = Cluster(server, "demo")  # type: ignore[arg-type]
    return asyncio.run(command._store(cluster, "acme", name, line or f"{name}:{BCRYPT}"))


def lines(body: Any) -> str:
    return base64.b64decode(body["data"][".htpasswd"]).decode()


# --- the line ---


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "ada:new\n"),
        ("bob:1", "bob:1\nada:new\n"),
        ("bob:1\n", "bob:1\nada:new\n"),
        ("ada:old\nbob:1\n", "ada:new\nbob:1\n"),
        ("bob:1\nada:old\n# a comment\nada:older\n", "bob:1\nada:new\n# a comment\n"),
        ("ada.l:1\nxada:2\n", "ada.l:1\nxada:2\nada:new\n"),
        ("bob:1\r\n", "bob:1\r\nada:new\n"),
    ],
)
def test_the_line_of_the_user_is_another_one_and_all_else_as_it_was(before: str, after: str) -> None:
    assert command.with_line(before, "ada", LINE) == after


def test_what_is_stored_is_a_hash_that_the_operator_takes_and_that_the_password_fits() -> None:
    plain = command.new_password()
    found = command.hashed(plain)
    assert wrong_hash(found) == ""
    Argon2id.verify_phc_encoded(plain.encode(), found)
    assert command.hashed(plain) != found, "another salt each time"


def test_a_password_is_four_times_four_letters_that_do_not_look_alike_and_another_one_each_time() -> None:
    made = {command.new_password() for _ in range(200)}
    assert len(made) == 200
    letters = set().union(*made) - {"-"}
    assert not letters & set("iIlLoO01")
    assert all([len(part) for part in one.split("-")] == [4, 4, 4, 4] for one in made)


# --- the Secret ---


def test_a_secret_that_is_not_there_is_made_with_the_label_by_which_it_is_believed() -> None:
    server = Server(with_sources("p", "q"))
    assert store(server) == "p"
    ((what, body),) = server.sent
    assert what == "create"
    assert body["metadata"] == {"name": "p", "namespace": "demo", "labels": {LABEL_PASSWORDS: "acme"}}
    assert (body["type"], lines(body)) == ("Opaque", f"ada:{BCRYPT}\n")


def test_of_several_the_one_that_has_the_user_is_changed_and_else_the_first() -> None:
    there = {"p": a_secret(f"bob:{BCRYPT}\n"), "q": a_secret(f"ada:{BCRYPT}\n")}
    assert store(Server(with_sources("p", "q"), **there)) == "q"
    assert store(Server(with_sources("p", "q"), **there), "bob") == "p"
    assert store(Server(with_sources("q", "p"), q=None, p=there["p"])) == "q"


def test_a_secret_is_changed_in_the_version_that_was_read_and_nothing_of_it_but_the_key() -> None:
    server = Server(with_sources("p"), p=a_secret(f"bob:{BCRYPT}\n", version="41"))
    store(server)
    ((_, patch),) = server.sent
    assert set(patch) == {"metadata", "data"}
    assert patch["metadata"] == {"resourceVersion": "41"}
    assert lines(patch) == f"bob:{BCRYPT}\nada:{BCRYPT}\n"


@pytest.mark.parametrize("conflicts", [1, 4])
@pytest.mark.parametrize("there", [None, a_secret("")], ids=["made", "changed"])
def test_where_somebody_else_is_quicker_it_is_tried_again(there: Any, conflicts: int) -> None:
    server = Server(with_sources("p"), conflicts, p=there)
    assert store(server) == "p"
    assert len(server.sent) == conflicts + 1


def test_where_somebody_else_always_is_it_is_given_up() -> None:
    with pytest.raises(ApiError):
        store(Server(with_sources("p"), 5, p=a_secret("")))


@pytest.mark.parametrize(
    ("server", "name", "words"),
    [
        pytest.param(
            Server(a_community(users=("ada",))), "ada", "set spec.authentication.passwordsFrom", id="no source"
        ),
        pytest.param(Server(with_sources("p")), "eve", "has no user eve", id="no such user"),
        pytest.param(
            Server(with_sources("p"), p=a_secret("", "globex")), "ada", "is not believed", id="another one's label"
        ),
        pytest.param(Server(with_sources("p"), p=a_secret("", None)), "ada", "lacks label", id="no label"),
        pytest.param(Server(with_sources("p"), p=a_secret("bob:x\n")), "ada", "line 1: ", id="a wrong line"),
        pytest.param(
            Server(with_sources("p"), p=a_secret("#" * 500 + ("\n" + "#" * 500) * 2092)),
            "ada",
            f"may have {LARGEST_FILE}",
            id="no room",
        ),
    ],
)
def test_what_would_not_hold_is_refused_and_nothing_is_written(server: Server, name: str, words: str) -> None:
    with pytest.raises(click.ClickException) as refused:
        store(server, name)
    assert words in refused.value.message
    assert server.sent == []


def test_the_wrong_line_may_be_the_users_own_which_is_mended_by_it() -> None:
    server = Server(with_sources("p"), p=a_secret("ada:hunter2\n"))
    store(server)
    assert read_passwords(lines(server.sent[0][1]).encode())[0].name == "ada"


@pytest.mark.parametrize("entry", ["%%%", base64.b64encode(b"\xff").decode()])
def test_what_is_no_text_is_not_written_over(entry: str) -> None:
    server = Server(with_sources("p"), p=a_secret("") | {"data": {".htpasswd": entry}})
    with pytest.raises(click.ClickException, match="mend it"):
        store(server)
    assert server.sent == []


def test_a_user_of_a_file_is_not_known_here_and_let_in() -> None:
    files = {"usersFrom": [{"configMapRef": {"name": "staff"}}]}
    assert store(Server(with_sources("p", **files)), "eve") == "p"


# --- the command ---


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    there = Server(with_sources("p"))

    def run(_: Access, work: Any) -> Any:
        return asyncio.run(work(Cluster(there, "demo")))  # type: ignore[arg-type]

    monkeypatch.setattr(Access, "run", run)
    return there


def test_it_is_printed_once_and_alone_on_standard_output(server: Server) -> None:
    done = CliRunner().invoke(cli, ["password", "acme/ada"])
    assert done.exit_code == 0, done.output
    plain = done.stdout.removesuffix("\n")
    Argon2id.verify_phc_encoded(plain.encode(), lines(server.sent[0][1]).partition(":")[2].strip())
    assert plain not in done.stderr
    assert done.stderr == "acme/ada: the password is set, in Secret p\n"


def test_one_that_somebody_chose_is_read_and_not_printed(server: Server) -> None:
    done = CliRunner().invoke(cli, ["password", "acme/ada", "--stdin"], input="correct horse\r\nmore\n")
    assert (done.exit_code, done.stdout) == (0, "")
    Argon2id.verify_phc_encoded(b"correct horse", lines(server.sent[0][1]).partition(":")[2].strip())


@pytest.mark.parametrize("chosen", ["", "\n", "7letter\n", "x" * 129, "bell\a here\n"])
def test_one_that_is_too_short_too_long_or_no_text_is_refused(server: Server, chosen: str) -> None:
    done = CliRunner().invoke(cli, ["password", "acme/ada", "--stdin"], input=chosen)
    assert done.exit_code == 1
    assert "8 to 128 characters" in done.stderr
    assert server.sent == []


def test_at_a_terminal_it_is_asked_for_twice_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def prompt(_: str, **how: Any) -> str:
        asked.append(how)
        return "correct horse"

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(click, "prompt", prompt)
    monkeypatch.setattr("sys.stdin", Terminal())
    assert command._chosen() == "correct horse"
    assert asked == [{"hide_input": True, "confirmation_prompt": True}]


@pytest.mark.parametrize("user", ["acme", "acme/", "/ada", "acme/Ada", "acme/ada:x", "acme/a/b"])
def test_a_user_is_named_with_his_community(user: str, server: Server) -> None:
    done = CliRunner().invoke(cli, ["password", user])
    assert done.exit_code == 2
    assert "such as acme/anna.rossi" in done.stderr
    assert server.sent == []
