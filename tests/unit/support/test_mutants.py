"""The mutator: what counts as a small fault, and that a list of harmless ones does not rot."""

from __future__ import annotations

import pytest
import yaml

from mutants.mutator import mutants_of_python, mutants_of_template
from mutants.run import EQUIVALENT, PACKAGE, Case, Verdict, sampled, told


def faults(source: str) -> set[str]:
    """What the mutants of a source have in place of what."""
    return {f"{mutant.before} -> {mutant.after}" for mutant in mutants_of_python(source)}


@pytest.mark.parametrize(
    "source, fault",
    [
        pytest.param("a = b < 250", "b < 250 -> b <= 250", id="a limit that is one off"),
        pytest.param("a = b < 250", "250 -> 251", id="a number that is one more"),
        pytest.param("a = b and c", "b and c -> b or c", id="or for and"),
        pytest.param("a = b in c", "b in c -> b not in c", id="not in for in"),
        pytest.param("if f(x): g()", "f(x) -> not f(x)", id="a condition turned round"),
        pytest.param("a = [x for x in y if x.z]", "x.z -> not x.z", id="a filter turned round"),
        pytest.param("a = not b", "not b -> b", id="a not that is missing"),
        pytest.param("a = True", "True -> False", id="no for yes"),
        pytest.param("a = 'b'", "'b' -> 'bXX'", id="another text"),
        pytest.param("def f(): return x", "return x -> return None", id="nothing returned"),
        pytest.param("a = f(b=1)", "f(b=1) -> f()", id="an argument that is missing"),
        pytest.param("f(x)", "f(x) -> pass", id="a call that is missing"),
        pytest.param("a = b if c else d", "b if c else d -> d if c else b", id="the other branch"),
        pytest.param("a += 1", "a += 1 -> pass", id="a count that is not kept"),
    ],
)
def test_a_small_fault_is_made(source: str, fault: str) -> None:
    assert fault in faults(source)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param('"""Text."""', id="docstrings"),
        pytest.param("a: Literal['b']", id="annotations"),
        pytest.param("raise ValueError('text')", id="what an exception says"),
        pytest.param("log.info('text', 1)", id="what is logged"),
        pytest.param("a = 'a sentence for people'", id="sentences"),
        pytest.param("@dataclass(frozen=True)\nclass A: ...", id="how a class is made"),
        pytest.param("T = TypeVar('T')", id="type variables"),
    ],
)
def test_what_only_documents_is_left_alone(source: str) -> None:
    assert faults(source) == set()


def test_each_mutant_is_the_source_with_one_change() -> None:
    source = "def f(a):\n    if a < 1:\n        return 2\n    return 3\n"
    changed = [mutant.source().splitlines() for mutant in mutants_of_python(source)]
    assert len(changed) == 6
    for lines in changed:
        assert sum(line != before for line, before in zip(lines, source.splitlines(), strict=True)) == 1


def test_of_a_template_each_line_is_left_out_and_each_condition_turned_round() -> None:
    text = "{# why #}\n# comment\n\ndrop\n{% if a %}\nport {{ b }}\n{% endif %}\n"
    assert [(mutant.line, mutant.after) for mutant in mutants_of_template(text)] == [
        (4, ""),
        (5, "{% if not (a) %}"),
        (6, ""),
    ]


def test_the_same_seed_takes_the_same_sample() -> None:
    cases = [Case("domain", "x.py", mutant, ()) for mutant in mutants_of_python("a = [1, 2, 3, 4, 5, 6, 7, 8]")]

    def chosen(seed: int) -> list[str]:
        return [case.mutant.before for case in sampled(cases, 3, seed)]

    assert len(chosen(1)) == 3
    assert chosen(1) == chosen(1)
    assert {tuple(chosen(seed)) for seed in range(9)} > {tuple(chosen(1))}
    assert len(list(sampled(cases, 0, 1))) == 8


@pytest.mark.parametrize("noticed, code", [(19, 0), (18, 1)])
def test_a_part_below_95_percent_is_a_failure(
    noticed: int, code: int, capsys: pytest.CaptureFixture[str], tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mutants.run.BUILD", tmp_path / "mutants")  # type: ignore[operator]
    (mutant,) = mutants_of_python("a = 1")
    case = Case("domain", "x.py", mutant, ("test",))
    verdicts = [Verdict(case, noticed=number < noticed) for number in range(20)]
    assert told([*verdicts, Verdict(case, noticed=False, why="the same")]) == code
    assert f"domain     {noticed / 20:6.1%} of 20 noticed (0 of them hung), 1 equivalent" in capsys.readouterr().out


def test_every_mutant_that_is_said_to_be_harmless_is_one_of_today_and_has_a_reason() -> None:
    known: dict[str, set[tuple[str, str]]] = {}
    for one in yaml.safe_load(EQUIVALENT.read_text()) or []:
        file = one["file"]
        if file not in known:
            made = mutants_of_template if file.endswith(".j2") else mutants_of_python
            known[file] = {(mutant.before, mutant.after) for mutant in made((PACKAGE / file).read_text())}
        assert (one["before"], one["after"]) in known[file], one
        assert len(one["why"].split()) > 3, one
