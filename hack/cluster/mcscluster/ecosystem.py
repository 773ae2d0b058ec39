"""What our users run beside this operator, for `make ecosystem`: the versions are in go.mod of hack/ecosystem/go."""

from __future__ import annotations

from . import settings
from .binaries import Module

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
_KNP = "sigs.k8s.io/kube-network-policies"
NETWORK_POLICY = Module(
    "networkpolicy",
    {"cmd": f"{_KNP}/cmd"},
    beside=settings.ECOSYSTEM_MODULES,
    files={"manifests": f"{_KNP}//install.yaml"},
)
MODULES = {module.name: module for module in (FLUX, NETWORK_POLICY)}
