"""What `helm uninstall` takes along is what the user chose, on an API server that is empty before and after."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest
import yaml

from support.api import ROOT, Api, is_served
from support.cluster import new_api_server
from support.levels import left_out_if_missing
from support.objects import a_link
from support.waiting import until

pytestmark = pytest.mark.integration

CHART = ROOT / "charts" / "mcs-operator"
LINKS = "tvoxlinks.mcs.tvox.io"


@pytest.fixture(scope="module")
def empty() -> Iterator[Api]:
    """Without our kinds: another one than the session's, whose kinds the other tests need."""
    with left_out_if_missing(), new_api_server() as kubeconfig:
        yield Api(kubeconfig)


def helm(api: Api, *arguments: str) -> None:
    environment = os.environ | {"KUBECONFIG": str(api.kubeconfig)}
    command = [ROOT / "hack" / "helm", *arguments, "--namespace=mcs-system"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def left(api: Api) -> list[str]:
    """Everything of the release that is still there."""
    kinds = "deployment,service,serviceaccount,role,rolebinding,networkpolicy,clusterrole,clusterrolebinding,"
    kinds += "validatingwebhookconfiguration,validatingadmissionpolicy,validatingadmissionpolicybinding,crd"
    selector = "--selector=app.kubernetes.io/name in (mcs-operator,mcs)"
    return api.kubectl("get", kinds, "--all-namespaces", selector, "--output=name").split()


def with_a_customer(api: Api) -> None:
    until("links are served", lambda: is_served(api, LINKS), 60)
    api.apply(a_link("acme"))


def test_customers_stay_unless_somebody_chose_otherwise(empty: Api) -> None:
    helm(empty, "install", "mcs-operator", str(CHART), "--create-namespace")
    with_a_customer(empty)
    helm(empty, "uninstall", "mcs-operator")
    kinds = {f"customresourcedefinition.apiextensions.k8s.io/{path.stem}" for path in (ROOT / "crds").glob("*.yaml")}
    assert set(left(empty)) == kinds
    assert empty.find("TVoxLink", "acme")

    helm(empty, "install", "mcs-operator", str(CHART), "--set=crds.keep=false", "--take-ownership")
    helm(empty, "uninstall", "mcs-operator")
    until("nothing is left", lambda: left(empty) == [], 30)


def test_the_plain_manifest_goes_as_it_came(empty: Api) -> None:
    manifest, home = str(ROOT / "manifests" / "install.yaml"), empty.within("mcs-system")
    home.kubectl("apply", "--server-side", "--filename", manifest)
    bodies = yaml.safe_load_all((ROOT / manifest).read_text())
    assert len(left(empty)) == len([body for body in bodies if body["kind"] != "Namespace"])
    home.kubectl("delete", "--filename", manifest, "--timeout=60s", timeout=90)
    assert left(empty) == []
