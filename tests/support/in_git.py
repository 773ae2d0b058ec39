"""Customers declared in Git: a folder of the repository for one namespace, a file for each object."""

from __future__ import annotations

import yaml

from support.api import Api, Object, samples
from support.fake_agent import free_base_port
from support.git_server import Repository


class Folder:
    """What a GitOps tool applies to the namespace of `api`. `base_port` is the instance's, free on this machine."""

    def __init__(self, repository: Repository, api: Api) -> None:
        self.path = api.namespace
        self.base_port = free_base_port()
        self._repository = repository
        self._namespace = api.namespace

    def put_demo(self) -> str:
        """Commit the demo's samples; the revision."""
        bodies = [body for body in samples("demo") if body["kind"] != "Namespace"]
        (instance,) = [body for body in bodies if body["kind"] == "MCSInstance"]
        instance["spec"]["vpn"]["basePort"] = self.base_port
        return self.put(*bodies)

    def put(self, *bodies: Object) -> str:
        """Commit objects, new or changed, in one commit; the revision."""
        return self._repository.commit({self._file(b["kind"], b["metadata"]["name"]): self._text(b) for b in bodies})

    def remove(self, *objects: tuple[str, str]) -> str:
        """Commit that these, each a kind and a name, are no more; the revision."""
        return self._repository.commit({self._file(kind, name): None for kind, name in objects})

    def get(self, kind: str, name: str) -> Object:
        """An object as it was committed last."""
        body: Object = yaml.safe_load(self._repository.read(self._file(kind, name)))
        return body

    def change(self, kind: str, name: str, **spec: object) -> str:
        """Commit an object with these fields of its spec; the revision."""
        body = self.get(kind, name)
        return self.put(body | {"spec": body["spec"] | spec})

    def objects(self) -> list[Object]:
        """All of them."""
        return [yaml.safe_load(self._repository.read(file)) for file in self._repository.files(self.path)]

    def _file(self, kind: str, name: str) -> str:
        return f"{self.path}/{kind.lower()}-{name}.yaml"

    def _text(self, body: Object) -> str:
        return yaml.safe_dump(body | {"metadata": body["metadata"] | {"namespace": self._namespace}})
