"""What our users run beside this operator, for `make ecosystem`: the versions are in go.mod of hack/ecosystem/go."""

from __future__ import annotations

from . import binaries, settings
from .binaries import Module
from .shell import ClusterError

_FLUX = "github.com/fluxcd/"
FLUX = Module(
    "flux",
    {name: _FLUX + name for name in ("source-controller", "kustomize-controller")},
    beside=settings.ECOSYSTEM_MODULES,
    files={
        "source-crds": f"{_FLUX}source-controller//config/crd/bases",
        "kustomize-crds": f"{_FLUX}kustomize-controller//config/crd/bases",
    },
)
_ARGOCD = "github.com/argoproj/argo-cd/v3"
ARGOCD = Module(
    "argocd",
    {"argocd": "."},
    beside=settings.ECOSYSTEM_MODULES,
    files={"crds": f"{_ARGOCD}//manifests/crds", "config": f"{_ARGOCD}//manifests/base/config"},
)
CERT_MANAGER = Module(
    "cert-manager",
    {"cert-manager": "."},
    beside=settings.ECOSYSTEM_MODULES,
    files={"crds": "github.com/cert-manager/cert-manager//deploy/crds"},
)
EXTERNAL_DNS = Module("external-dns", {"external-dns": "sigs.k8s.io/external-dns"}, beside=settings.ECOSYSTEM_MODULES)
_KNP = "sigs.k8s.io/kube-network-policies"
NETWORK_POLICY = Module(
    "networkpolicy",
    {"cmd": f"{_KNP}/cmd"},
    beside=settings.ECOSYSTEM_MODULES,
    files={"manifests": f"{_KNP}//install.yaml"},
)
_VELERO = "github.com/vmware-tanzu/velero"
VELERO = Module(
    "velero",
    {
        "velero": f"{_VELERO}/cmd/velero",
        "velero-restore-helper": f"{_VELERO}/cmd/velero-restore-helper",  # waits in a pod for what is on its volumes
        "velero-plugin-for-aws": f"{_VELERO}-plugin-for-aws/velero-plugin-for-aws",
        "versitygw": "github.com/versity/versitygw/cmd/versitygw",  # an S3 server over a folder
    },
    beside=settings.ECOSYSTEM_MODULES,
    files={"crds": f"{_VELERO}//config/crd/v1/bases", "crds-v2": f"{_VELERO}//config/crd/v2alpha1/bases"},
)
REGISTRY = Module(
    "registry",
    {"crane": "github.com/google/go-containerregistry/cmd/crane", "registry": "."},
    beside=settings.ECOSYSTEM_MODULES,
)
# The API server of the oldest Kubernetes that is supported, and the newest that can be had, whole.
KUBERNETES = {
    age: Module(
        f"kubernetes-{age}", packages, version_of=binaries.KUBERNETES.version_of, beside=settings.ECOSYSTEM_MODULES
    )
    for age, packages in (
        ("oldest", {"kube-apiserver": binaries.KUBERNETES.packages["kube-apiserver"]}),
        ("newest", binaries.KUBERNETES.packages),
    )
}


def kubernetes(age: str | None) -> Module:
    """What MCS_KUBERNETES names; without it the node's own."""
    if age is None:
        return binaries.KUBERNETES
    if age not in KUBERNETES:
        raise ClusterError(f"MCS_KUBERNETES={age}: it is one of {', '.join(KUBERNETES)}")
    return KUBERNETES[age]


# What a node image of kind has beside the programs of our own node. Two are apart: crictl wants another version of
# Kubernetes' libraries, and the provisioner of volumes spells the name of a module as nobody does today.
KIND_NODE = Module(
    "kind-node",
    {
        "kubeadm": "k8s.io/kubernetes/cmd/kubeadm",
        "server": "go.etcd.io/etcd/server/v3",  # etcd
        "kind-node": ".",  # CoreDNS
    },
    version_of="k8s.io/kubernetes",
    beside=settings.ECOSYSTEM_MODULES,
)
CRICTL = Module("crictl", {"crictl": "sigs.k8s.io/cri-tools/cmd/crictl"}, beside=settings.ECOSYSTEM_MODULES)
LOCAL_PATH = Module(
    "local-path",
    {"local-path-provisioner": "github.com/rancher/local-path-provisioner"},
    beside=settings.ECOSYSTEM_MODULES,
)
_OF_KIND = (KIND_NODE, CRICTL, LOCAL_PATH)
_ALL = (FLUX, ARGOCD, CERT_MANAGER, EXTERNAL_DNS, NETWORK_POLICY, VELERO, REGISTRY, *_OF_KIND, *KUBERNETES.values())
MODULES = {module.name: module for module in _ALL}
