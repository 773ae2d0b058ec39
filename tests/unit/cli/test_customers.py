"""`kubectl mcs add` and `import` without a cluster: what is written, and what is told of what cannot be."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from mcs_operator.api import Community, TVoxLink
from mcs_operator.api.schema import plain_schema
from mcs_operator.cli.customers import COLUMNS, LISTS
from mcs_operator.cli.files import read
from mcs_operator.cli.main import cli
from support.api import ROOT

TITLES = "name,domain,vpnAddress,community,displayName,users,functions,portalDomain,protocol,allowedSources"


def mcs(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(cli, arguments, input=stdin)


def imported(*rows: str, titles: str = TITLES, options: tuple[str, ...] = ()) -> Result:
    return mcs("import", "-", *options, stdin="\n".join([titles, *rows]) + "\n")


def written(found: Result) -> dict[str, Any]:
    assert found.exit_code == 0, found.output
    return {f"{body['kind']}/{body['metadata']['name']}": body for body in yaml.safe_load_all(found.stdout)}


def told(found: Result) -> list[str]:
    """What is wrong, without the last line, which counts it."""
    assert found.exit_code == 1, found.output
    assert found.stdout == ""
    *faults, last = found.stderr.splitlines()
    assert last.endswith("wrong: nothing was written")
    return [fault.removeprefix("standard input, ") for fault in faults]


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_is_a_field_of_the_same_name(column: str) -> None:
    field = COLUMNS[column].removeprefix("spec.")
    if column in ("name", "community"):
        return
    specs = [plain_schema(kind)["properties"]["spec"]["properties"] for kind in (Community, TVoxLink)]
    (schema,) = [spec[field] for spec in specs if field in spec]
    assert (schema["type"] == "array") is (column in LISTS)


def test_a_customer_is_a_community_and_a_link() -> None:
    found = written(mcs("add", "acme", "--domain=acme.mcs.test", "--user=anna", "--user=bea", "--namespace=demo"))
    assert list(found) == ["Community/acme", "TVoxLink/acme"]
    assert found["Community/acme"]["spec"] == {
        "instanceRef": {"name": "mcs"},
        "defaultFunctions": ["Audio", "Video", "Chat", "DesktopSharing", "FileSharing"],
        "users": [{"name": "anna"}, {"name": "bea"}],
    }
    assert found["TVoxLink/acme"]["metadata"] == {"name": "acme", "namespace": "demo"}
    assert found["TVoxLink/acme"]["spec"] == {
        "instanceRef": {"name": "mcs"},
        "communityRef": {"name": "acme"},
        "domain": "acme.mcs.test",
    }


def test_what_is_left_to_do_is_said_with_its_commands() -> None:
    found = mcs(
        *("add", "acme", "--domain=acme.mcs.test", "--user=anna", "--portal-domain=meet.acme.test", "-n", "demo"),
        *("-f", str(ROOT / "manifests" / "samples" / "demo" / "10-instance.yaml")),
    )
    for line in (
        "  acme.mcs.test.   CNAME  mcs.test.",
        "  meet.acme.test.  CNAME  mcs.test.",
        "  kubectl mcs profile --namespace=demo acme --file acme.ovpn",
        "  kubectl mcs password --namespace=demo acme/anna",
    ):
        assert line in found.stderr.splitlines()
    assert (
        "kubectl edit community --namespace=demo acme"
        in mcs("add", "acme", "--domain=acme.mcs.test", "--namespace=demo").stderr
    )


def test_every_option_of_add_is_named_where_it_is_wrong() -> None:
    wrong = {"--domain": "A", "--vpn-address": "1", "--user": "A", "--function": "x", "--portal-domain": "B"}
    wrong |= {"--protocol": "x", "--allowed-source": "1", "--community": "A b", "--display-name": "a\u202eb"}
    found = told(mcs("add", "acme", *(f"{option}={value}" for option, value in wrong.items())))
    assert {fault.partition(": ")[0] for fault in found} == set(wrong)
    assert told(mcs("add", "A", "--domain=a.mcs.test", "--community=a"))[0].startswith("NAME: 'A': must be lower case")


def test_a_file_of_a_spreadsheet_is_read_whatever_separates_its_cells() -> None:
    rows = [["Name", "FQDN", "VPN address", "users"], ["acme", "acme.mcs.test", "198.18.254.9", "anna bea"]]
    found = [mcs("import", "-", stdin="\r\n".join(map(mark.join, rows))) for mark in ",;\t"]
    for one in found:
        assert written(one)["TVoxLink/acme"]["spec"]["vpnAddress"] == "198.18.254.9"
        assert [user["name"] for user in written(one)["Community/acme"]["spec"]["users"]] == ["anna", "bea"]


def test_customers_of_one_community_share_it() -> None:
    found = written(
        imported("n,n.mcs.test,,quarry,Quarry Spa,ugo,,,,", "s,s.mcs.test,,quarry,,ugo rita,Audio,,TCP,203.0.113.7/32")
    )
    assert list(found) == ["Community/quarry", "TVoxLink/n", "TVoxLink/s"]
    spec = found["Community/quarry"]["spec"]
    assert [user["name"] for user in spec["users"]] == ["ugo", "rita"]
    assert (spec["displayName"], spec["defaultFunctions"]) == ("Quarry Spa", ["Audio"])
    assert found["TVoxLink/s"]["spec"]["protocol"] == "TCP"
    assert found["TVoxLink/s"]["spec"]["allowedSources"] == ["203.0.113.7/32"]


def test_all_that_is_wrong_is_told_by_line_and_column_and_nothing_is_written() -> None:
    rows = [
        "acme,acme.mcs.test,,,,,,,,",
        "",
        "bolt,acme.mcs.test,198.18.254.300,,,Anna,,,,",
        ",x.mcs.test,,,,,,,,",
        "acme,c.mcs.test,,,,,,,,,too much",
        '"d\nd",d.mcs.test,,,,,,,,',
        "e,,,,,,,,,",
    ]
    found = [fault.partition(": ")[0] for fault in told(imported(*rows))]
    assert found == [
        "line 4, column domain",
        "line 4, column users",
        "line 4, column vpnAddress",
        "line 5, column name",
        "line 6",
        "line 6, column name",
        "line 7, column name",
        "line 9, column domain",
    ]


def test_of_two_rows_with_one_value_both_lines_are_named() -> None:
    rows = ["a,x.mcs.test,198.18.254.9,,,,,,,", "b,x.mcs.test,198.18.254.9,,,,,,,", "a,y.mcs.test,,,,,,,,"]
    assert told(imported(*rows)) == [
        "line 3, column domain: 'x.mcs.test' stands in line 2 too",
        "line 3, column vpnAddress: '198.18.254.9' stands in line 2 too",
        "line 4, column name: 'a' stands in line 2 too",
    ]


def test_rows_that_say_two_things_of_one_community_are_named() -> None:
    rows = ["a,a.mcs.test,,c,One,,,,,", "b,b.mcs.test,,c,Two,,,,,"]
    assert told(imported(*rows)) == ["line 3, column displayName: 'Two', and line 2 says 'One' of Community 'c'"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "line 1: column name is missing", id="nothing"),
        pytest.param("name,domain\n", "standard input: has no customers", id="no customer"),
        pytest.param(
            "name,fqdn,phone\na,a.mcs.test,1\n", "line 1: column 'phone': choose name,", id="a column too many"
        ),
        pytest.param("name,domain,FQDN\n", "line 1: column 'FQDN': domain stands twice", id="a column twice"),
        pytest.param('name,domain\na,a.mcs.test\n"b"b,c\n', "line 3: is no CSV", id="no CSV"),
    ],
)
def test_a_file_that_is_none_of_customers_is_told_so(text: str, said: str) -> None:
    assert told(mcs("import", "-", stdin=text))[0].startswith(said)


def test_of_far_too_many_customers_the_first_are_checked_and_nobody_waits() -> None:
    """Each fault looked for its row among all: 8,000 rows took 17 seconds, and a file may have a million."""
    begun = time.process_time()
    said = told(imported(*(f"c{n},no domain {n},,,,,,,," for n in range(8000))))
    assert "column domain" in said[0] and said[50] == "… and 201 more"
    assert time.process_time() - begun < 5


def test_the_251st_customer_is_one_too_many() -> None:
    rows = [f"c{n},c{n}.mcs.test,,,,,,,," for n in range(251)]
    assert written(imported(*rows[:250]))
    assert told(imported(*rows)) == [
        "line 252: is one too many: an MCSInstance has at most 250 TVoxLinks; use two files"
    ]


def test_new_customers_are_checked_beside_the_manifests_that_are_there() -> None:
    demo = ("-f", str(ROOT / "manifests" / "samples" / "demo"))
    found = told(imported("aa,acme.mcs.test,,,,,,,,", "b,b.mcs.test,198.18.254.100,,,,,,,", options=demo))
    assert found[0].startswith("line 2, column domain: acme.mcs.test is in use")
    assert found[1].startswith("line 3, column vpnAddress: 198.18.254.100 is not between 198.18.254.2 and 198.18.254.9")
    made = written(imported("c,c.mcs.test,,,,,,,,", options=demo))
    assert made["TVoxLink/c"]["metadata"]["namespace"] == "mcs-demo"


def test_there_are_no_more_customers_than_slots() -> None:
    demo = ("-f", str(ROOT / "manifests" / "samples" / "demo"))
    found = told(imported(*(f"c{n},c{n}.mcs.test,,,,,,,," for n in range(8)), options=demo))
    assert len(found) == 2
    assert all("none of the instance's 8 slots (spec.vpn.slots) is free" in fault for fault in found)


def test_a_folder_for_git_has_a_file_for_each_community(tmp_path: Path) -> None:
    folder = tmp_path / "customers"
    rows = ["n,n.mcs.test,,quarry,,,,,,", "a,a.mcs.test,,,,,,,,", "s,s.mcs.test,,quarry,,,,,,"]
    assert imported(*rows, options=("--folder", str(folder))).exit_code == 0
    assert sorted(path.name for path in folder.iterdir()) == ["a.yaml", "quarry.yaml"]
    assert [body["metadata"]["name"] for body in yaml.safe_load_all((folder / "quarry.yaml").read_text())] == [
        "quarry",
        "n",
        "s",
    ]
    assert mcs("validate", "-f", str(folder)).exit_code == 0
    assert imported(*rows, options=("--folder", str(folder))).exit_code == 0, "the same again"


@pytest.mark.parametrize("name", ["n", "y", "on", "null", "1e3", "0x1f", "123", "2026-11-29", "1-2"])
def test_a_name_that_yaml_has_another_meaning_for_stays_a_name(tmp_path: Path, name: str) -> None:
    row = f"{name},a.mcs.test,,,{name},{name},,,,"
    assert imported(row, options=("--folder", str(tmp_path))).exit_code == 0
    community, link = (document.body for document in read([str(tmp_path)]))
    assert link["metadata"]["name"] == link["spec"]["communityRef"]["name"] == name
    assert (community["spec"]["displayName"], community["spec"]["users"]) == (name, [{"name": name}])
    assert mcs("validate", "-f", str(tmp_path)).exit_code == 0


def test_a_display_name_is_written_as_it_is() -> None:
    found = mcs("add", "a", "--domain=a.mcs.test", "--display-name=Müller: 'Söhne' & \"Co\" #1")
    assert written(found)["Community/a"]["spec"]["displayName"] == "Müller: 'Söhne' & \"Co\" #1"
    assert "Müller" in found.stdout


def test_a_file_that_says_something_else_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("mine")
    rows = ["a,a.mcs.test,,,,,,,,", "b,b.mcs.test,,,,,,,,"]
    (fault,) = told(imported(*rows, options=("--folder", str(tmp_path))))
    assert fault.endswith("b.yaml: is there already, and says something else; move it, or take this customer out")
    assert not (tmp_path / "a.yaml").exists()


def test_a_cluster_is_no_folder() -> None:
    assert imported("a,a.mcs.test,,,,,,,,", options=("--apply", "--folder=x")).exit_code == 2


def test_the_example_of_the_documentation_is_right() -> None:
    found = written(mcs("import", str(ROOT / "docs" / "examples" / "customers.csv")))
    assert [title for title in found if title.startswith("Community")] == ["Community/marble", "Community/quarry"]
