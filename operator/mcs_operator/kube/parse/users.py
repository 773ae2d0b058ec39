"""A users file as it lies in its ConfigMap or Secret; what is in it is judged by `domain.users`."""

from __future__ import annotations

from mcs_operator.domain.users import USERS_KEY
from mcs_operator.domain.world import UsersFile
from mcs_operator.kube.client import SECRETS, Object, Resource
from mcs_operator.kube.parse.bounds import UnreadableError, decoded, mapping

_LONGEST_FILE = 1024 * 1024
"""An object of Kubernetes holds no more."""
_NOT_TEXT = "is not UTF-8 text; save the file as UTF-8"


def read_users_file(resource: Resource, name: str, body: Object) -> UsersFile:
    """The file; without a text where it is missing, and with the reason where it is there and is none."""
    content = mapping(body.get("data")).get(USERS_KEY)
    if content is None:
        # kubectl puts there what is not UTF-8.
        foreign = USERS_KEY in mapping(body.get("binaryData"))
        return UsersFile(resource.kind, name, None, _NOT_TEXT if foreign else "")
    if resource is SECRETS:
        try:
            content = decoded(content, _LONGEST_FILE)
        except UnreadableError as error:
            too_long = "longer" in str(error)
            return UsersFile(resource.kind, name, None, str(error) if too_long else _NOT_TEXT)
    if not isinstance(content, str) or len(content) > _LONGEST_FILE:
        return UsersFile(resource.kind, name, None, f"is longer than {_LONGEST_FILE} characters")
    return UsersFile(resource.kind, name, content)
