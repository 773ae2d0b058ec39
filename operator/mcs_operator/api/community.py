"""Community: a customer's users, and what each of them may do."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from mcs_operator.api.base import AGE, Column, KubernetesObject, Model, Reference, Rule, Status, Tls, condition_column
from mcs_operator.api.fields import DisplayName, Fqdn
from mcs_operator.api.impact import LIST_ATOMIC, LIST_SET, Impact, impact, list_map
from mcs_operator.api.wording import AtMost, Says

HOT = Impact.HOT

UserName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=64, pattern=r"^[a-z0-9]([a-z0-9._@+-]*[a-z0-9])?$"),
    Says(
        "user_name",
        "must be a login name of 1 to 64 lower case letters, digits and . _ @ + - such as anna.rossi; a letter or a "
        "digit is first and last",
    ),
]
"""Lower case only, so that Anna and anna are not two people."""


class Function(StrEnum):
    """What a user may do."""

    AUDIO = "Audio"
    VIDEO = "Video"
    CHAT = "Chat"
    DESKTOP_SHARING = "DesktopSharing"
    FILE_SHARING = "FileSharing"


class User(Model):
    """One user of a community, inline."""

    name: UserName = Field(description="Login name, unique in the community: lower case letters, digits and . _ @ + -")
    display_name: DisplayName | None = Field(default=None, description="Name for people. Default: the name.")
    enabled: bool = Field(default=True, description="Whether the user may log in, and counts towards the tier.")
    functions: Annotated[tuple[Function, ...], AtMost(len(Function))] | None = Field(
        default=None,
        description="What the user may do, instead of the community's defaultFunctions; [] means nothing.",
        json_schema_extra=dict(LIST_SET),
    )


class UsersSource(Model):
    """A file of users in a ConfigMap or a Secret; exactly one of the two."""

    rules: ClassVar = (
        Rule(
            cel="has(self.configMapRef) != has(self.secretRef)",
            message="exactly one of configMapRef and secretRef is needed in each entry",
            holds=lambda source: (source.config_map_ref is None) != (source.secret_ref is None),
        ),
    )

    config_map_ref: Reference | None = Field(
        default=None,
        description='ConfigMap with key users.yaml, and with the label mcs.tvox.io/users: "true".',
    )
    secret_ref: Reference | None = Field(
        default=None, description='Secret with key users.yaml, and with the label mcs.tvox.io/users: "true".'
    )


class PasswordsSource(Model):
    """A Secret with the users' passwords, hashed."""

    secret_ref: Reference = Field(
        description="Secret with key .htpasswd, and with the label mcs.tvox.io/passwords, whose value is the name of "
        "this Community; without it nothing is read. `kubectl mcs password` makes it.",
    )


class Authentication(Model):
    """How the community's users log in to the portal."""

    passwords_from: Annotated[tuple[PasswordsSource, ...], AtMost(16)] = Field(
        default=(),
        description="Secrets with passwords; of a user who is in several of them the first one counts. Each line of "
        "key .htpasswd is name:hash, the hash argon2id (64 MiB, 4 passes and 4 lanes at most) or bcrypt (cost 12 at "
        "most, $2y$ or $2b$); 10,000 lines at most. A Secret that is missing or cannot be read keeps its last good "
        "content in force.",
        json_schema_extra=dict(LIST_ATOMIC),
    )


class CommunitySpec(Model):
    """What the user declares."""

    instance_ref: Reference = Field(
        description="The MCSInstance that serves the community.", json_schema_extra=impact(HOT)
    )
    display_name: DisplayName | None = Field(
        default=None,
        description="Name for people, for example ACME Spa. Default: the object's name.",
        json_schema_extra=impact(HOT),
    )
    enabled: bool = Field(
        default=True,
        description="Whether the community's users are served. false keeps them declared, and frees their places in "
        "the tier.",
        json_schema_extra=impact(HOT),
    )
    default_functions: Annotated[tuple[Function, ...], AtMost(len(Function))] = Field(
        default=(),
        description="What users may do who have no functions of their own: Audio, Video, Chat, DesktopSharing, "
        "FileSharing. Default: nothing.",
        json_schema_extra=impact(HOT, LIST_SET),
    )
    users: Annotated[tuple[User, ...], AtMost(1000)] = Field(
        default=(),
        description="Users, inline. Apply with `kubectl apply --server-side`: client-side apply stops at 256 KiB. More "
        "than 1,000 belong into usersFrom.",
        json_schema_extra=impact(HOT, list_map("name")),
    )
    users_from: Annotated[tuple[UsersSource, ...], AtMost(64)] = Field(
        default=(),
        description="Files of users, after the inline ones, in this order. Each is a YAML list of {name, displayName, "
        "enabled, functions} under key users.yaml, UTF-8, 10,000 users at most, without anchors, aliases, merge keys "
        "and tags. A file that cannot be read keeps its last good content in force.",
        json_schema_extra=impact(HOT, LIST_ATOMIC),
    )
    portal_domain: Fqdn | None = Field(
        default=None,
        description="Host of the community's portal, for example meet.acme.example.com, a CNAME of the instance's "
        "domain; unique in the cluster. There its users log in with a browser, call and chat. Default: no portal.",
        json_schema_extra=impact(HOT),
    )
    tls: Tls = Field(
        default=Tls(),
        description="Certificate of portalDomain. Default: the instance's. Nobody logs in without one.",
        json_schema_extra=impact(HOT),
    )
    authentication: Authentication = Field(
        default=Authentication(),
        description="How the community's users log in to the portal. Without it nobody does, and all else goes on.",
        json_schema_extra=impact(HOT),
    )


class CommunityUsers(Model):
    """Users of the community, in all and by function."""

    served: int = Field(default=0, ge=0, description="Enabled users that are served.")
    not_served: int = Field(default=0, ge=0, description="Enabled users beyond the instance's tier.")
    audio: int | None = Field(default=None, ge=0, description="Served users who have Audio.")
    video: int | None = Field(default=None, ge=0, description="Served users who have Video.")
    chat: int | None = Field(default=None, ge=0, description="Served users who have Chat.")
    desktop_sharing: int | None = Field(default=None, ge=0, description="Served users who have DesktopSharing.")
    file_sharing: int | None = Field(default=None, ge=0, description="Served users who have FileSharing.")


class CommunityStatus(Status):
    """What the operator observed."""

    users: CommunityUsers | None = Field(default=None, description="Users of the community.")
    erased: tuple[str, ...] = Field(
        default=(),
        max_length=50,
        description="Ids of the requests to erase what the portal keeps of a user that it has done; for `kubectl mcs "
        "forget`, which then takes the request away. They say nothing of anybody.",
        json_schema_extra=dict(LIST_SET),
    )


class Community(KubernetesObject):
    """A customer's users, and what each of them may do: audio, video, chat, desktop sharing, file sharing.

    Nothing here interrupts anybody: users come and go while calls go on.
    """

    kind = "Community"
    plural = "communities"
    status_model = CommunityStatus
    columns = (
        condition_column("Ready", "Ready"),
        condition_column("Reason", "Ready", "reason"),
        Column("Users", ".status.users.served", "Users that are served", type="integer"),
        condition_column("Login", "LoginReady"),
        Column("Instance", ".spec.instanceRef.name", "MCSInstance that serves the community"),
        AGE,
        Column("Display name", ".spec.displayName", "Name for people", wide=True),
        Column("Not served", ".status.users.notServed", "Users beyond the tier", type="integer", wide=True),
        Column("Portal", ".spec.portalDomain", "Host of the portal", wide=True),
        condition_column("Login reason", "LoginReady", "reason", wide=True),
        condition_column("Message", "Ready", "message", wide=True),
    )

    spec: CommunitySpec
