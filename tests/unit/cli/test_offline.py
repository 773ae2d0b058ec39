"""`kubectl mcs validate` and `render`: files in, verdicts and manifests out, and no cluster anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from mcs_operator.cli.files import read
from mcs_operator.cli.main import cli
from support.api import ROOT, Object
from support.objects import a_community, a_link, an_instance
from support.worlds import HASH

SAMPLES = ROOT / "manifests" / "samples"


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(cli, list(arguments), input=stdin)


def written(*bodies: Object) -> str:
    return yaml.safe_dump_all(bodies)


def validated(*bodies: Object) -> Result:
    return run("validate", "-f", "-", "-o", "json", stdin=written(*bodies))


def a_portal(name: str = "acme", domain: str = "meet.acme.test") -> Object:
    source = {"passwordsFrom": [{"secretRef": {"name": "passwords"}}]}
    return a_community(name, users=("ada",), portalDomain=domain, authentication=source)


def a_secret(text: str, of: str = "acme") -> Object:
    metadata = {"name": "passwords", "labels": {"mcs.tvox.io/passwords": of}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {".htpasswd": text}}


def test_a_portal_with_its_passwords_is_valid() -> None:
    assert validated(an_instance(), a_portal(), a_secret(f"ada:{HASH}")).output == "[]\n"


@pytest.mark.parametrize(
    ("bodies", "severity", "words"),
    [
        pytest.param([a_portal()], "warning", "there is no Secret 'passwords'", id="a Secret that may be there"),
        pytest.param([a_portal(), a_secret("x", "b")], "warning", "with label mcs.tvox.io/passwords=acme", id="label"),
        pytest.param([a_portal(), a_secret("ada:hunter2")], "error", "line 1: the hash must be", id="a wrong line"),
        pytest.param([a_portal(domain="mcs.test")], "error", "spec.portalDomain: mcs.test is in use", id="the name"),
    ],
)
def test_what_is_wrong_with_a_portal_is_told_without_a_user_or_a_password(
    bodies: list[Object], severity: str, words: str
) -> None:
    result = validated(an_instance(), *bodies)
    assert result.exit_code == (severity == "error")
    told = {finding["severity"]: finding["message"] for finding in yaml.safe_load(result.output)}
    assert words in told[severity]
    assert "hunter2" not in result.output
    assert "ada" not in result.output


def test_what_is_rendered_of_passwords_is_blacked_out() -> None:
    result = run("render", "-f", "-", stdin=written(an_instance(), a_portal(), a_secret(f"ada:{HASH}")))
    assert result.exit_code == 0, result.output
    assert "logins-" in result.output
    assert HASH not in result.output


@pytest.mark.parametrize("sample", ["demo", "third-customer", "fourth-customer"])
def test_samples_are_valid(sample: str) -> None:
    result = run("validate", "-f", str(SAMPLES / sample))
    assert (result.exit_code, result.output) == (0, f"objects: {len(read([str(SAMPLES / sample)]))}, all valid\n")


def test_what_may_be_in_the_cluster_is_a_warning_and_no_error() -> None:
    result = run("validate", "-f", str(SAMPLES / "production"))
    assert result.exit_code == 0
    assert "acme-users" in result.output
    assert "warning" in result.output


def test_250_links_are_valid_and_the_251st_is_named() -> None:
    links = [a_link(f"l{i:03d}") for i in range(251)]
    wide = an_instance(vpn={"slots": 250})
    assert validated(wide, a_community(), *links[:250]).exit_code == 0
    result = validated(wide, a_community(), *links)
    assert result.exit_code == 1
    found = yaml.safe_load(result.output)
    assert [(f["object"], f["severity"]) for f in found] == [("TVoxLink/l250", "error")]
    assert "at most 250" in found[0]["message"]


def test_a_link_for_which_there_is_no_slot_is_named() -> None:
    links = [a_link(f"l{i}") for i in range(7)]
    assert validated(an_instance(), a_community(), *links[:6]).exit_code == 0
    result = validated(an_instance(), a_community(), *links)
    assert result.exit_code == 1
    (found,) = yaml.safe_load(result.output)
    assert (found["object"], found["severity"]) == ("TVoxLink/l6", "error")
    assert "none of the instance's 6 slots" in found["message"]


def test_a_field_that_does_not_exist_is_named_with_its_path() -> None:
    link = a_link("acme", alowedSources=["192.0.2.0/24"])
    result = validated(link)
    assert result.exit_code == 1
    assert "spec.alowedSources: unknown field" in result.output


def test_a_value_that_does_not_fit_is_named_with_its_path() -> None:
    result = validated(a_link("acme", vpnAddress="198.18.254.300"))
    assert result.exit_code == 1
    assert "spec.vpnAddress: " in result.output
    assert "198.18.254.300" in result.output


def test_a_window_in_a_time_zone_that_there_is_not_is_named() -> None:
    nowhere = {"windows": [{"schedule": "0 2 * * SUN", "duration": "2h", "timeZone": "Europe/Roma"}]}
    (found,) = yaml.safe_load(validated(an_instance(disruptions=nowhere)).output)
    assert (found["object"], found["severity"]) == ("MCSInstance/mcs", "error")
    assert found["message"] == "spec.disruptions.windows[0].timeZone: Europe/Roma: there is no such time zone"


def test_two_links_of_one_domain_are_told_apart() -> None:
    result = validated(
        an_instance(), a_community(), a_link("one", domain="x.mcs.test"), a_link("two", domain="x.mcs.test")
    )
    assert result.exit_code == 1
    assert "spec.domain: x.mcs.test is in use" in result.output


def test_links_are_told_apart_also_where_their_instance_is_in_the_cluster() -> None:
    (found,) = yaml.safe_load(
        validated(a_community(), a_link("one", domain="x.mcs.test"), a_link("two", domain="x.mcs.test")).output
    )
    assert (found["object"], found["severity"]) == ("TVoxLink/two", "error")
    assert found["message"].startswith("spec.domain: x.mcs.test is in use")
    assert validated(a_community(), a_link("one")).exit_code == 0


def test_a_refusal_is_not_hidden_by_a_warning_of_the_same_field() -> None:
    result = validated(an_instance(communityLimits={"links": 2}), *(a_link(name) for name in ("a", "b", "c")))
    assert result.exit_code == 1, "the Community may be in the cluster, and the third link is one too many all the same"
    assert [(found["object"], found["severity"]) for found in yaml.safe_load(result.output)] == [
        ("TVoxLink/a", "warning"),
        ("TVoxLink/b", "warning"),
        ("TVoxLink/c", "warning"),
        ("TVoxLink/c", "error"),
    ]
    assert "in namespace ;" not in result.output


def elsewhere(body: Object, namespace: str = "other") -> Object:
    return body | {"metadata": body["metadata"] | {"namespace": namespace}}


def test_two_namespaces_in_the_files_share_neither_a_name_nor_a_nodes_ports() -> None:
    found = yaml.safe_load(validated(an_instance(), elsewhere(an_instance())).output)
    assert [(one["object"], one["severity"]) for one in found] == [("MCSInstance/mcs", "error")] * 2
    domain, node = (one["message"] for one in found)
    assert domain.startswith("spec.domain: mcs.test is in use")
    assert node.startswith("spec.nodeSelector: kubernetes.io/hostname=mcs-node: that node's ports")


def test_of_an_object_that_is_there_twice_the_last_one_is_judged_and_that_is_said() -> None:
    first, last = a_community(users=("ann", "bob")), a_community(users=("eve",))
    link = a_link("acme", domain="early.mcs.test"), a_link("acme", domain="late.mcs.test")
    found = yaml.safe_load(validated(an_instance(), first, *link, last).output)
    assert [(one["object"], one["severity"]) for one in found] == [
        ("TVoxLink/acme", "warning"),
        ("Community/acme", "warning"),
    ]
    assert all(
        one["message"].startswith("metadata.name: stands in standard input too; the last one is what stays")
        for one in found
    )


def test_what_admission_warns_of_is_said_too_and_is_no_error() -> None:
    tls, portal = {"secretRef": {"name": "no-such"}}, {"portalDomain": "meet.acme.test"}
    result = validated(an_instance(tls=tls), a_community(**portal), a_link("acme", tls=tls))
    assert result.exit_code == 0
    instance, community, link = yaml.safe_load(result.output)
    assert {one["severity"] for one in (instance, community, link)} == {"warning"}
    assert instance["message"] == link["message"] == WITHOUT_SECRET
    assert community["message"].startswith("spec.portalDomain: nobody can log in at meet.acme.test yet")


def test_a_service_that_is_named_is_looked_for_in_the_files() -> None:
    instance = an_instance(tls={"http01": {"serviceRef": {"name": "solvers"}}})
    (found,) = yaml.safe_load(validated(instance).output)
    assert found["message"].startswith("spec.tls.http01.serviceRef.name: no Service 'solvers' yet")
    assert (
        validated(instance, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "solvers"}}).output == "[]\n"
    )


WITHOUT_SECRET = (
    "spec.tls.secretRef.name: no Secret 'no-such' of type kubernetes.io/tls yet; what is served now goes on until "
    "it is there"
)
CERTIFICATE = {"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"name": "a"}}
SEALED = {"apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "metadata": {"name": "no-such"}}
EXTERNAL = {"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": {"name": "no-such"}}


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(CERTIFICATE | {"spec": {"secretName": "no-such"}}, id="a Certificate"),
        pytest.param(SEALED, id="a SealedSecret"),
        pytest.param(EXTERNAL, id="an ExternalSecret"),
        pytest.param(EXTERNAL | {"metadata": {"name": "b"}, "spec": {"target": {"name": "no-such"}}}, id="its target"),
    ],
)
def test_a_secret_that_something_in_the_files_makes_is_not_missing(made: Object) -> None:
    tls = {"secretRef": {"name": "no-such"}}
    assert validated(an_instance(tls=tls), made).output == "[]\n"


KEY = {"keyID": "me", "keySecretRef": {"name": "no-such"}}
NAMES_ONE = [
    pytest.param(
        an_instance(tls={"acme": {"server": "https://acme.example.com/directory", "externalAccountBinding": KEY}}),
        "spec.tls.acme.externalAccountBinding.keySecretRef.name: no Secret 'no-such' yet",
        id="the key of an external account",
    ),
    pytest.param(
        an_instance(imagePullSecrets=[{"name": "no-such"}]),
        "spec.imagePullSecrets: no Secret 'no-such' yet",
        id="a pull secret",
    ),
]
OPAQUE = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "no-such"}}


@pytest.mark.parametrize(("instance", "words"), NAMES_ONE)
@pytest.mark.parametrize("there", [OPAQUE, SEALED, EXTERNAL], ids=["itself", "sealed", "external"])
def test_a_secret_of_any_type_that_is_named_is_looked_for_in_the_files(
    instance: Object, words: str, there: Object
) -> None:
    (found,) = yaml.safe_load(validated(instance).output)
    assert (found["severity"], found["message"].startswith(words)) == ("warning", True), found
    assert validated(instance, there).output == "[]\n"


def test_passwords_that_are_named_are_looked_for_in_the_files_by_their_label() -> None:
    by = {"authentication": {"passwordsFrom": [{"secretRef": {"name": "no-such"}}]}}
    community = a_community(portalDomain="meet.acme.test", **by)
    ours = {"name": "no-such", "labels": {"mcs.tvox.io/passwords": "acme"}}
    for alone, there in (([community], []), ([an_instance(), community], [OPAQUE])):
        (found,) = yaml.safe_load(validated(*alone, *there).output)
        assert found["severity"] == "warning"
        assert found["message"].startswith("spec.authentication.passwordsFrom")
        assert "no Secret 'no-such' with label mcs.tvox.io/passwords=acme" in found["message"]
    template = {"metadata": {"labels": ours["labels"]}}
    sealed, external = (
        SEALED | {"spec": {"template": template}},
        EXTERNAL | {"spec": {"target": {"template": template}}},
    )
    for made in (OPAQUE | {"metadata": ours}, sealed, external):
        assert validated(community, made).output == "[]\n"
    for made in (sealed, external):
        assert validated(an_instance(), community, made).output == "[]\n"
    (found,) = yaml.safe_load(validated(an_instance(), community, SEALED).output)
    assert "with label mcs.tvox.io/passwords=acme" in found["message"], "what it makes is not looked at"


def test_users_that_something_in_the_files_makes_are_not_missing_where_it_has_the_label() -> None:
    community = a_community(usersFrom=[{"secretRef": {"name": "no-such"}}])
    target = {"template": {"metadata": {"labels": {"mcs.tvox.io/users": "true"}}}}
    assert validated(an_instance(), community, EXTERNAL | {"spec": {"target": target}}).output == "[]\n"
    (found,) = yaml.safe_load(validated(an_instance(), community, EXTERNAL).output)
    assert "with label mcs.tvox.io/users=true" in found["message"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "no YAML"),
        ("just words", "the document is a text, not an object with apiVersion, kind and metadata"),
        ("", "no object found"),
    ],
)
def test_what_is_no_manifest_is_said_in_a_line(text: str, said: str) -> None:
    result = run("validate", "-f", "-", stdin=text)
    assert result.exit_code == 1
    assert said in result.output
    assert "Traceback" not in result.output


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = run("validate", "-f", str(tmp_path / "nothing.yaml"))
    assert result.exit_code == 1
    assert "nothing.yaml: no such file or folder" in result.output


def test_rendering_shows_every_object_and_no_key() -> None:
    result = run("render", "-f", str(SAMPLES / "demo"))
    assert result.exit_code == 0
    bodies = list(yaml.safe_load_all(result.output))
    kinds = {body["kind"] for body in bodies}
    assert {"StatefulSet", "Secret", "Service", "NetworkPolicy", "PersistentVolumeClaim"} <= kinds
    assert {"mcs-link-002", "acme-profile"} <= {body["metadata"]["name"] for body in bodies}
    assert "PRIVATE KEY" not in result.output
    values = [value for body in bodies if body["kind"] == "Secret" for value in body["data"].values()]
    assert values
    assert all(value.startswith("<") for value in values)


def test_what_is_not_valid_is_not_rendered() -> None:
    result = run("render", "-f", "-", stdin=written(a_link("acme", vpnAddress="1.2.3")))
    assert result.exit_code == 1
    assert "spec.vpnAddress" in result.output


def test_the_documentation_shows_what_size_says() -> None:
    shown = (ROOT / "docs" / "kubectl-mcs.md").read_text()
    arguments = shown.partition("$ kubectl mcs size ")[2].partition("\n")[0]
    result = run("size", *arguments.split())
    assert result.exit_code == 0
    assert f"$ kubectl mcs size {arguments}\n{result.output}```" in shown


def test_size_gives_numbers_to_scripts_and_refuses_what_is_none() -> None:
    found = yaml.safe_load(run("size", "900", "--connections", "625", "-o", "json").output)
    assert (found["tier"], found["cpuCores"], found["bandMegabits"]) == ("UpTo1000", 4, 300)
    assert found["spec"] == {"tier": "UpTo1000", "bandwidth": "300M"}
    assert run("size", "0").exit_code == 2
