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
MODULES = {FLUX.name: FLUX}
