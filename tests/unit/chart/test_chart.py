"""The chart as it renders: least rights, a pod that passes `restricted`, and values that are checked at the door."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
import yaml

from mcs_operator.kube.apply import NEVER_PRUNED
from mcs_operator.kube.resources import CHILDREN, OURS, PODS
from mcs_operator.kube.rights import (
    IN_ALL_NAMESPACES,
    IN_NO_NAMESPACE,
    IN_OWN_NAMESPACE,
    WHERE_NAMESPACES_ARE_LISTED,
    rules,
)
from mcs_operator.settings import WEBHOOK, ContainerResources, Settings
from support.api import ROOT
from support.chart import CHART, Object, all_bodies, checked, deployment, helm, operator, pod, refusal, rendered

RIGHTS = (*IN_ALL_NAMESPACES, *IN_NO_NAMESPACE, *IN_OWN_NAMESPACE, *WHERE_NAMESPACES_ARE_LISTED)
DIGEST = "sha256:" + "a" * 64


# ------------------------------------------------------------------------------------------------------------- rights


def test_the_roles_are_the_table_beside_the_code() -> None:
    objects = rendered()
    assert objects["ClusterRole", "mcs-operator"]["rules"] == rules((*IN_ALL_NAMESPACES, *IN_NO_NAMESPACE))
    assert objects["Role", "mcs-operator"]["rules"] == rules(IN_OWN_NAMESPACE)


def test_the_roles_are_bound_to_the_pods_account_and_to_nobody_else() -> None:
    objects = rendered()
    account = {"kind": "ServiceAccount", "name": "mcs-operator", "namespace": "mcs-system"}
    for kind in ("ClusterRoleBinding", "RoleBinding"):
        assert objects[kind, "mcs-operator"]["subjects"] == [account]
        assert objects[kind, "mcs-operator"]["roleRef"]["name"] == "mcs-operator"
    assert pod()["serviceAccountName"] == "mcs-operator"


def test_where_namespaces_are_listed_secrets_and_pods_are_in_reach_in_these_alone() -> None:
    objects = rendered("namespaces={one,two}")
    wide = objects["ClusterRole", "mcs-operator"]["rules"]
    assert wide == rules((*WHERE_NAMESPACES_ARE_LISTED, *IN_NO_NAMESPACE))
    everything = [body for _, body in all_bodies(("namespaces={one,two}",))]
    bodies = [body for body in everything if body["metadata"]["name"].endswith("-instances")]
    roles = {body["metadata"]["namespace"]: body for body in bodies if body["kind"] == "Role"}
    bindings = {body["metadata"]["namespace"]: body for body in bodies if body["kind"] == "RoleBinding"}
    assert set(roles) == set(bindings) == {"one", "two"}
    assert all(role["rules"] == rules(IN_ALL_NAMESPACES) for role in roles.values())
    account = {"kind": "ServiceAccount", "name": "mcs-operator", "namespace": "mcs-system"}
    assert all(binding["subjects"] == [account] for binding in bindings.values())


def test_where_namespaces_are_listed_the_operator_and_its_webhook_keep_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    values = ("namespaces={one,two}",)
    assert settings_of(operator(*values), monkeypatch).namespaces == ("one", "two")
    (webhook,) = rendered(*values)["ValidatingWebhookConfiguration", WEBHOOK]["webhooks"]
    (expression,) = webhook["namespaceSelector"]["matchExpressions"]
    assert (expression["key"], expression["values"]) == ("kubernetes.io/metadata.name", ["one", "two"])
    assert "namespaceSelector" not in rendered()["ValidatingWebhookConfiguration", WEBHOOK]["webhooks"][0]


def test_no_right_is_a_wildcard_or_leads_to_more_rights() -> None:
    for right in RIGHTS:
        words = {*right.verbs, *right.rule["apiGroups"], *right.rule["resources"]}
        assert not words & {"*", "escalate", "bind", "impersonate", "deletecollection"}
        assert right.resource.plural not in ("roles", "clusterroles", "rolebindings", "clusterrolebindings")


def test_no_object_of_a_user_can_be_changed_but_in_its_status() -> None:
    changing = {"create", "update", "patch", "delete"}
    for right in IN_ALL_NAMESPACES:
        if right.resource in OURS and not right.sub:
            assert not changing & set(right.verbs)


@pytest.mark.parametrize("resource", CHILDREN, ids=lambda resource: resource.plural)
def test_every_kind_of_child_can_be_watched_and_those_that_are_pruned_deleted(resource: Any) -> None:
    granted = {verb for right in IN_ALL_NAMESPACES if right.resource == resource for verb in right.verbs}
    assert {"get", "list", "watch", "patch"} <= granted
    assert "create" in granted
    assert ("delete" in granted) == (resource not in NEVER_PRUNED or resource == PODS)


def test_a_right_says_what_it_is_for() -> None:
    assert all(right.reason.endswith(".") for right in RIGHTS)


# ------------------------------------------------------------------------------------------------------------ the pods


def test_the_pod_has_what_pod_security_restricted_asks_for() -> None:
    spec, container = pod(), operator()
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 65532
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert all(set(volume) - {"name"} <= {"emptyDir", "secret"} for volume in spec["volumes"])
    assert not any("hostPort" in port for port in container["ports"])


def test_on_openshift_the_pods_have_the_users_that_their_namespace_has() -> None:
    """Its SCC `restricted-v2` refuses a pod that names users of its own choice."""
    values = [f"podSecurityContext.{name}=null" for name in ("runAsUser", "runAsGroup", "fsGroup")]
    for spec in (pod(*values), checked(*values)["Pod", "mcs-operator-test"]["spec"]):
        assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def test_the_pods_take_connections_on_their_three_ports_and_no_other() -> None:
    policy = rendered()["NetworkPolicy", "mcs-operator"]["spec"]
    assert policy["podSelector"] == deployment()["spec"]["selector"]
    assert policy["policyTypes"] == ["Ingress"]
    open_ports = {port["port"] for rule in policy["ingress"] for port in rule["ports"]}
    assert open_ports == {port["name"] for port in operator()["ports"]} == {"health", "metrics", "webhook"}
    assert not any("from" in rule for rule in policy["ingress"])


def test_who_reads_the_metrics_and_where_the_operator_may_connect_to_can_be_narrowed() -> None:
    prometheus = "networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.name=monitoring"
    egress = ("networkPolicy.egress[0].ports[0].port=6443", "networkPolicy.egress[0].ports[0].protocol=TCP")
    policy = rendered(prometheus, *egress)["NetworkPolicy", "mcs-operator"]["spec"]
    health, metrics, webhook = policy["ingress"]
    assert "from" not in health, "the kubelet is nobody that a selector names"
    assert metrics["from"] == [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]
    assert "from" not in webhook, "the API server is nobody that a selector names"
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["egress"] == [{"ports": [{"port": 6443, "protocol": "TCP"}]}]
    assert not any(kind == "NetworkPolicy" for kind, _ in rendered("networkPolicy.enabled=false"))


def test_helm_test_runs_the_check_as_restricted_as_the_operator_and_may_do_no_more_than_it_needs() -> None:
    objects = checked()
    spec = objects["Pod", "mcs-operator-test"]["spec"]
    (container,) = spec["containers"]
    (own,) = pod()["containers"]
    assert container["image"] == own["image"]
    assert container["securityContext"] == own["securityContext"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert container["command"][2].strip() == (CHART / "files" / "check.py").read_text().strip()
    assert container["command"][3:] == ["webhook"]
    assert checked("webhook.enabled=false")["Pod", "mcs-operator-test"]["spec"]["containers"][0]["command"][3:] == []
    granted = [(rule["resources"], rule["verbs"]) for rule in objects["Role", "mcs-operator-test"]["rules"]]
    assert granted == [(["leases"], ["get"]), (["tvoxlinks"], ["create"])]
    labels = objects["Pod", "mcs-operator-test"]["metadata"]["labels"]
    assert not deployment()["spec"]["selector"]["matchLabels"].items() <= labels.items(), "it would be a replica"
    assert all("helm.sh/hook-delete-policy" in body["metadata"]["annotations"] for body in objects.values())


def test_two_replicas_of_which_a_new_one_is_there_before_an_old_one_goes() -> None:
    spec = deployment()["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_the_selector_finds_the_pods_and_a_new_version_does_not_change_it() -> None:
    spec = deployment("commonLabels.team=voice")["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    assert set(spec["selector"]["matchLabels"]) == {"app.kubernetes.io/name", "app.kubernetes.io/instance"}
    assert labels["team"] == "voice"


def test_replicas_are_spread_by_their_own_labels() -> None:
    (constraint,) = pod()["topologySpreadConstraints"]
    assert constraint["labelSelector"] == deployment()["spec"]["selector"]


def test_a_given_selector_of_a_spread_is_left_alone() -> None:
    key = "topologySpreadConstraints[0]"
    values = (f"{key}.maxSkew=1", f"{key}.topologyKey=zone", f"{key}.whenUnsatisfiable=DoNotSchedule")
    (constraint,) = pod(*values, f"{key}.labelSelector.matchLabels.a=b")["topologySpreadConstraints"]
    assert constraint["labelSelector"]["matchLabels"]["a"] == "b"


def settings_of(container: Object, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What the operator reads from the environment of this container."""
    fields = {"metadata.namespace": "mcs-system", "metadata.name": "mcs-operator-1"}
    for variable in container["env"]:
        value = variable.get("value") or fields[variable["valueFrom"]["fieldRef"]["fieldPath"]]
        monkeypatch.setenv(variable["name"], value)
    return Settings.from_environment()


def test_the_operator_understands_the_environment_that_it_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    container = operator(
        "linkImage.digest=" + DIGEST,
        "mediaPod.imagePullPolicy=Never",
        "mediaPod.imagePullSecrets[0].name=registry",
        "mediaPod.imagePullSecrets[1].name=mirror",
        "mediaPod.slotResources.limits.cpu=500m",
        "mediaPod.slotResources.limits.memory=96Mi",
        "mediaPod.agentResources.requests.cpu=1",
        "imagePullSecrets[0].name=of-the-operator-alone",
    )
    assert settings_of(container, monkeypatch) == Settings(
        link_image=f"localhost/mcs/link:dev@{DIGEST}",
        agent_image="localhost/mcs/operator:dev",
        image_pull_policy="Never",
        image_pull_secrets=("registry", "mirror"),
        slot_resources=ContainerResources(limits=(("cpu", "500m"), ("memory", "96Mi"))),
        agent_resources=ContainerResources(requests=(("cpu", "1"),)),
        namespace="mcs-system",
        identity="mcs-operator-1",
    )


def test_the_agent_runs_from_the_operators_image_unless_it_has_one_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings_of(operator("image.tag=v2"), monkeypatch).agent_image == "localhost/mcs/operator:v2"
    own = operator("agentImage.repository=registry.example.com/agent", "agentImage.tag=v3")
    assert settings_of(own, monkeypatch).agent_image == "registry.example.com/agent:v3"


def test_the_probes_ask_the_port_on_which_they_are_served() -> None:
    container = operator()
    assert "--health-port=8080" in container["args"]
    assert {port["name"]: port["containerPort"] for port in container["ports"]} == {
        "health": 8080,
        "metrics": 8443,
        "webhook": 9443,
    }
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "health"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "health"}


def test_what_a_platform_team_sets_arrives_in_the_pod() -> None:
    spec = pod(
        "priorityClassName=platform",
        "nodeSelector.pool=system",
        "tolerations[0].operator=Exists",
        "affinity.nodeAffinity.x=y",
        "imagePullSecrets[0].name=pull",
        "extraEnv[0].name=HTTPS_PROXY",
        "extraEnv[0].value=http://proxy",
        "extraVolumes[0].name=more",
        "extraVolumeMounts[0].name=more",
        "extraVolumeMounts[0].mountPath=/more",
        "log.verbose=true",
    )
    (container,) = spec["containers"]
    assert spec["priorityClassName"] == "platform"
    assert spec["nodeSelector"] == {"pool": "system"}
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert spec["affinity"] == {"nodeAffinity": {"x": "y"}}
    assert spec["imagePullSecrets"] == [{"name": "pull"}]
    assert {"name": "HTTPS_PROXY", "value": "http://proxy"} in container["env"]
    assert spec["volumes"][-1] == {"name": "more"}
    assert container["volumeMounts"][-1] == {"name": "more", "mountPath": "/more"}
    assert "--verbose" in container["args"]


def test_an_account_of_somebody_elses_making_is_used_and_bound() -> None:
    objects = rendered("serviceAccount.create=false", "serviceAccount.name=theirs")
    assert not any(kind == "ServiceAccount" for kind, _ in objects)
    assert objects["Deployment", "mcs-operator"]["spec"]["template"]["spec"]["serviceAccountName"] == "theirs"
    assert objects["ClusterRoleBinding", "mcs-operator"]["subjects"][0]["name"] == "theirs"


# ---------------------------------------------------------------------------------------------------------------- CRDs


def crds(*values: str) -> list[Object]:
    return [body for (kind, _), body in rendered(*values).items() if kind == "CustomResourceDefinition"]


def test_the_crds_are_those_of_the_repository_and_survive_an_uninstall() -> None:
    own = {body["metadata"]["name"]: body for body in map(_yaml, (ROOT / "crds").glob("*.yaml"))}
    shipped = crds()
    assert len(shipped) == 3
    for crd in shipped:
        assert crd["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
        assert crd == own[crd["metadata"]["name"]]


def _yaml(path: Any) -> Object:
    body: Object = yaml.safe_load(path.read_text())
    return body


def test_the_crds_go_with_the_chart_where_somebody_wants_that() -> None:
    assert all("annotations" not in crd["metadata"] for crd in crds("crds.keep=false"))


def test_the_crds_can_be_left_to_somebody_else() -> None:
    assert crds("crds.install=false") == []


# -------------------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("value", "place"),
    [
        pytest.param("replica=3", "replica", id="a misspelt value"),
        pytest.param("image.repo=x", "repo", id="a misspelt value further down"),
        pytest.param("replicas=two", "/replicas", id="a word for a number"),
        pytest.param("replicas=-1", "/replicas", id="a negative number of replicas"),
        pytest.param("image.pullPolicy=Sometimes", "/image/pullPolicy", id="a pull policy that there is not"),
        pytest.param("image.tag=", "/image", id="an image with neither tag nor digest"),
        pytest.param("image.digest=sha256:12", "/image/digest", id="a digest that is none"),
        pytest.param("log.format=xml", "/log/format", id="a log format that the operator does not have"),
        pytest.param("crds.keep=perhaps", "/crds/keep", id="neither true nor false"),
        pytest.param("resources.limits.memory=lots", "/resources/limits/memory", id="a quantity that is none"),
        pytest.param("namespaces={Big}", "/namespaces/0", id="a namespace that cannot be"),
        pytest.param("namespaces=all", "/namespaces", id="a word for a list of namespaces"),
        pytest.param("networkPolicy.metricsFrom[0].podSelektor.a=b", "/networkPolicy/metricsFrom/0", id="no such peer"),
        pytest.param("metrics.readers[0].name=prometheus", "/metrics/readers/0", id="an account of no namespace"),
        pytest.param("mediaPod.dns={Not_a_name}", "/mediaPod/dns/0", id="a resolver that cannot be"),
        pytest.param(
            "mediaPod.imagePullSecrets={a}", "/mediaPod/imagePullSecrets/0", id="a pull secret by its name alone"
        ),
        pytest.param("mediaPod.imagePullSecrets[0].name=A", "/mediaPod/imagePullSecrets/0/name", id="no Secret's name"),
        pytest.param("extraEnv[0].value=x", "/extraEnv/0", id="a variable without a name"),
        pytest.param("mediaPod.slotResources.limits.gpu=1", "/mediaPod/slotResources/limits", id="another resource"),
        pytest.param("mediaPod.agentResources.limits.cpu=much", "/mediaPod/agentResources/limits/cpu", id="no amount"),
        pytest.param("podSecurityContext.runAsNonRoot=false", "/podSecurityContext/runAsNonRoot", id="root"),
        pytest.param("podSecurityContext.runAsUser=0", "/podSecurityContext/runAsUser", id="root by number"),
        pytest.param(
            r"commonLabels.app\.kubernetes\.io/managed-by=me",
            "app.kubernetes.io/managed-by",
            id="a label of ours",
        ),
        pytest.param(r"podLabels.app\.kubernetes\.io/name=me", "app.kubernetes.io/name", id="a selector's"),
    ],
)
def test_values_that_make_no_sense_are_refused_by_name(value: str, place: str) -> None:
    assert place in refusal(value)


def test_a_value_that_is_null_is_a_default_or_refused_by_name() -> None:
    """Helm takes away what is null: a template that looks into it would end with a line of ours."""
    for name in _yaml(CHART / "values.yaml"):
        done = helm("template", "mcs-operator", str(CHART), f"--set={name}=null")
        assert done.returncode == 0 or f"missing property '{name}'" in done.stderr, done.stderr


def test_the_schema_knows_every_value_and_no_other() -> None:
    values = _yaml(CHART / "values.yaml")
    schema = json.loads((CHART / "values.schema.json").read_text())
    for path, known in (("", schema), *((name, schema["properties"][name]) for name in values)):
        given = values if path == "" else values[path]
        if "properties" in known and isinstance(given, dict) and path != "resources":
            assert set(known["properties"]) - {"global"} == set(given), path or "the top level"


def test_chart_and_program_have_one_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    chart = _yaml(CHART / "Chart.yaml")
    assert (chart["version"], chart["appVersion"]) == (version, version)


# ------------------------------------------------------------------------------------------------ the operator's writes


def test_what_the_operator_writes_is_held_to_its_own_by_default_and_can_be_let_go() -> None:
    policy = rendered()["ValidatingAdmissionPolicy", "mcs-operator-writes"]["spec"]
    assert policy["failurePolicy"] == "Fail"
    assert "'system:serviceaccount:mcs-system:mcs-operator'" in policy["matchConditions"][0]["expression"]
    binding = rendered()["ValidatingAdmissionPolicyBinding", "mcs-operator-writes"]["spec"]
    assert binding == {"policyName": "mcs-operator-writes", "validationActions": ["Deny"]}
    assert not any("writes" in name for _, name in rendered("rbac.holdWrites=false"))


def test_every_kind_that_the_operator_may_change_is_held_but_for_what_no_other_object_can_be() -> None:
    """Events and statuses say something and do nothing; Lease and webhook are held to their names by the role."""
    policy = rendered()["ValidatingAdmissionPolicy", "mcs-operator-writes"]["spec"]
    held = {kind for rule in policy["matchConstraints"]["resourceRules"] for kind in rule["resources"]}
    changing = {"create", "update", "patch", "delete"}
    rights = [right for right in IN_ALL_NAMESPACES if right.sub != "status" and changing & set(right.verbs)]
    changed = {f"{right.resource.plural}/{right.sub}".rstrip("/") for right in rights}
    assert held == changed - {"events"}


def test_the_webhook_asks_for_a_clients_certificate_where_its_ca_is_named() -> None:
    value = "webhook.clientCaConfigMap=api-server-ca"
    assert "--webhook-client-ca=/etc/webhook-client-ca/ca.crt" in operator(value)["args"]
    (volume,) = (volume for volume in pod(value)["volumes"] if volume["name"] == "webhook-client-ca")
    assert volume["configMap"]["name"] == "api-server-ca"
    assert not any("client-ca" in argument for argument in operator()["args"])


def test_the_registered_path_is_the_operators_to_choose() -> None:
    """One in the manifest would be known to everybody, and written over the operator's at each upgrade."""
    (webhook,) = rendered()["ValidatingWebhookConfiguration", WEBHOOK]["webhooks"]
    assert "path" not in webhook["clientConfig"]["service"]


# ------------------------------------------------------------------------------------------------------- install.yaml


def test_the_manifest_installs_what_the_chart_does_without_saying_that_helm_did() -> None:
    text = (ROOT / "manifests" / "install.yaml").read_text()
    bodies = {(body["kind"], body["metadata"]["name"]): body for body in yaml.safe_load_all(text)}
    namespace = bodies.pop(("Namespace", "mcs-system"))
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert set(bodies) == set(rendered())
    assert "helm" not in text.lower().partition("\n")[2]
    assert bodies["Deployment", "mcs-operator"]["spec"]["template"]["spec"] == pod()


def test_the_webhook_is_only_the_polite_door() -> None:
    body = rendered()["ValidatingWebhookConfiguration", WEBHOOK]
    (webhook,) = body["webhooks"]
    assert webhook["failurePolicy"] == "Ignore"
    assert webhook["timeoutSeconds"] == 3
    assert webhook["sideEffects"] == "None"
    assert webhook["rules"][0]["operations"] == ["CREATE", "UPDATE"]
    service = rendered()["Service", WEBHOOK]
    assert webhook["clientConfig"]["service"]["name"] == service["metadata"]["name"]
    assert service["spec"]["selector"].items() <= deployment()["spec"]["template"]["metadata"]["labels"].items()


def test_the_operator_issues_the_webhooks_certificate_unless_cert_manager_does() -> None:
    assert "--issue-webhook-certificate" in operator()["args"]
    manager = ("webhook.certManager.enabled=true",)
    assert "--issue-webhook-certificate" not in operator(*manager)["args"]
    certificate = rendered(*manager)["Certificate", WEBHOOK]["spec"]
    (mounted,) = [v["secret"] for v in pod(*manager)["volumes"] if "secret" in v]
    assert certificate["secretName"] == mounted["secretName"] == WEBHOOK
    assert certificate["dnsNames"] == [f"{WEBHOOK}.mcs-system.svc"]
    assert certificate["commonName"] == WEBHOOK, "else its own issuer has no name"
    annotations = rendered(*manager)["ValidatingWebhookConfiguration", WEBHOOK]["metadata"]["annotations"]
    assert annotations == {"cert-manager.io/inject-ca-from": f"mcs-system/{WEBHOOK}"}


def test_without_the_webhook_nothing_of_it_is_left() -> None:
    off = ("webhook.enabled=false",)
    assert not [key for key in rendered(*off) if "webhook" in key[1]]
    assert not [argument for argument in operator(*off)["args"] if "webhook" in argument]
    assert [volume["name"] for volume in pod(*off)["volumes"]] == ["tmp"]


# ------------------------------------------------------------------------------------------------- deletion protection

PROTECTION = "mcs-operator-deletion-protection"


def test_an_instance_with_links_up_is_protected_by_default_and_can_be_left_unprotected() -> None:
    policy = rendered()["ValidatingAdmissionPolicy", PROTECTION]["spec"]
    assert policy["failurePolicy"] == "Ignore", "or what it cannot tell would keep a namespace from going"
    (rule,) = policy["matchConstraints"]["resourceRules"]
    assert (rule["resources"], rule["operations"]) == (["mcsinstances"], ["DELETE"])
    binding = rendered()["ValidatingAdmissionPolicyBinding", PROTECTION]["spec"]
    assert binding == {"policyName": PROTECTION, "validationActions": ["Deny"]}
    assert not any(name == PROTECTION for _, name in rendered("deletionProtection.enabled=false"))


def test_where_namespaces_are_listed_only_their_instances_are_protected() -> None:
    policy = rendered("namespaces={one,two}")["ValidatingAdmissionPolicy", PROTECTION]["spec"]
    (expression,) = policy["matchConstraints"]["namespaceSelector"]["matchExpressions"]
    assert (expression["key"], expression["values"]) == ("kubernetes.io/metadata.name", ["one", "two"])
