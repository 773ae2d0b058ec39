"""The documentation says of each command what runs it, leads nowhere that is not there, and names what there is."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from mcs_operator.cli.main import cli
from support.api import ROOT
from support.documented import BY_HAND, ELSEWHERE, FIRST, LAB, NO_SHELL, NODE, SERVER, SHELL, Block, blocks, pages
from support.transcript import masked, stages

PAGES = pages()
LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")
IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)#\s]+)\)")
PICTURES = sorted((ROOT / "docs/pictures").glob("*.png"))
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_what_it_is_and_what_runs_it(page: str) -> None:
    for block in blocks(page):
        assert block.language in SHELL | NO_SHELL, block.place
        assert block.where in {SERVER, NODE, FIRST, LAB}, block.place


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file(page: str) -> None:
    text = (ROOT / page).read_text()
    dead = [target for target in LINK.findall(text) if not (ROOT / page).parent.joinpath(target).exists()]
    assert dead == []


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.name)
def test_every_photographed_picture_is_on_a_page_says_what_it_shows_and_is_small(picture: Path) -> None:
    shown = [
        text
        for page in PAGES
        for text, target in IMAGE.findall((ROOT / page).read_text())
        if (ROOT / page).parent.joinpath(target).resolve() == picture
    ]
    assert shown and all(len(text) > 10 for text in shown)
    assert picture.stat().st_size < 150_000


@pytest.mark.parametrize("page", PAGES)
def test_every_target_and_command_that_is_named_exists(page: str) -> None:
    text = (ROOT / page).read_text()
    assert set(re.findall(r"(?:`|^\$ )make (?:-s )?([a-z0-9-]+)", text, re.MULTILINE)) <= TARGETS
    assert set(re.findall(r"kubectl mcs ([a-z]+[a-z-]*)", text)) <= set(cli.commands)


@pytest.mark.parametrize(("answers", "well"), [("false", True), ("true", False)])
def test_what_a_page_shows_to_be_denied_has_to_be_denied(answers: str, well: bool) -> None:
    block = Block("page.md:1", "console", (), (f"$ {answers}", "no", "$ true"))
    done = subprocess.run(["bash", "-euc", "\n".join(block.script())], check=False)
    assert (done.returncode == 0) is well


def test_a_command_that_writes_keys_leaves_them_readable_by_their_owner_alone() -> None:
    written = [
        (block.place, command)
        for page in PAGES
        for block in blocks(page)
        for command in block.commands()
        if re.search(r"\bsecrets?\b.*[^|]> *[a-z]", command) and "sha256sum" not in command
    ]
    assert len(written) >= 5
    assert [place for place, command in written if not command.startswith("(umask 077; ")] == []


WITHOUT_A_NAMESPACE = (
    r"(-n |--namespace|-A\b|--all-namespaces|\b(namespace|node|crd)s?\b|flowschemas|config |auth can-i|explain|--raw"
    r"|validatingwebhook|--local|-f (manifests|docs|secrets\.yaml)|-k manifests|kustomize|drain"
    r"|mcs (size|import|validate|--help))"
)


@pytest.mark.parametrize("page", PAGES)
def test_a_command_about_objects_of_a_namespace_names_it(page: str) -> None:
    """Whoever copies one line has not chosen the namespace of the page."""
    for block in blocks(page):
        for command in block.commands():
            is_about_objects = re.search(r"\bkubectl (mcs )?[a-z]", command) and block.where != LAB
            assert not is_about_objects or re.search(WITHOUT_A_NAMESPACE, command), f"{block.place}: {command}"


ATTACKERS = {"tenant", "user", "TVox", "stranger", "agent", "slot", "media", "neighbour namespace", "ACME server"}


def tried() -> list[tuple[str, ...]]:
    """The rows of the table of what was tried: attacker, attempt, what held, test."""
    _, _, text = (ROOT / "docs" / "security.md").read_text().partition("\n## What was tried\n")
    rows = [line for line in text.partition("\n## ")[0].splitlines() if line.startswith("| ")]
    return [tuple(cell.strip() for cell in row.strip("|").split(" | ")) for row in rows[2:]]


@pytest.mark.parametrize("row", tried(), ids=lambda row: row[-1].rpartition("::")[2].strip("`"))
def test_whatever_is_said_to_have_been_tried_is_a_test(row: tuple[str, ...]) -> None:
    attacker, attempt, held, test = row
    assert attacker in ATTACKERS
    assert attempt and held
    for name in test.split(", "):
        found = re.fullmatch(r"`(tests/[a-z0-9_/]+\.py)::(test_\w+)`", name)
        assert found, name
        assert re.search(rf"^(async )?def {found[2]}\(", (ROOT / found[1]).read_text(), re.MULTILINE), name


def test_attackers_of_every_kind_tried_something() -> None:
    assert len(tried()) >= 20


def test_what_is_run_elsewhere_is_run_there() -> None:
    for command, (file, text) in ELSEWHERE.items():
        assert text in (ROOT / file).read_text(), f"{command}: {file} does not run it"


def test_there_is_no_exception_for_what_no_page_has() -> None:
    written = {command for page in PAGES for block in blocks(page) for command in block.commands()}
    assert set(ELSEWHERE) | set(BY_HAND) <= written


def test_the_commands_of_the_laboratory_are_where_its_test_looks() -> None:
    assert [page for page in PAGES if any(block.where == LAB for block in blocks(page))] == ["docs/operations.md"]


def test_the_shown_run_of_the_demo_has_the_steps_of_the_story() -> None:
    """The whole of it is compared with a run by the end-to-end tests; this much costs no node."""
    told = re.findall(r'with step\("(.*)"\)', (ROOT / "hack/demo/mcsdemo/story.py").read_text())
    (shown,) = (block for block in blocks("docs/demo.md") if block.language == "text")
    assert [stage.title for stage in stages(masked("\n".join(shown.lines)))] == told
    assert len(told) > 5


def test_the_pages_of_the_site_are_those_that_the_tests_read() -> None:
    """A page that is added beside its code has to be among them."""
    added = re.findall(r'^    "(.*\.md)": "', (ROOT / "hack/docs_site.py").read_text(), re.MULTILINE)
    assert added and set(added) <= set(PAGES)
    assert all(Path(page).name.endswith(".md") for page in PAGES)
