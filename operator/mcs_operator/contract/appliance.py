"""What the media appliance is given, and what it answers, as models (docs/appliance-contract.md).

Their JSON schemas are published for whoever makes an image (docs/contract). Nobody parses by them while the operator
runs: tests hold what it renders to the files, and the conformance test holds an image to the answers.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from mcs_operator.api import Function, ServiceState
from mcs_operator.settings import CERTIFICATE_SHARDS, MAX_LINKS, USER_SHARDS

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Thumbprint = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=253)]
Count = Annotated[int, Field(ge=0)]
Number = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,3}$")]
"""Of a link, as a name in JSON."""


class _Given(BaseModel):
    """Part of a file. Exactly what is written: a name that is new here has to be on the page as well."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)


class _Answer(BaseModel):
    """Part of an answer. An image may say more than is agreed."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, alias_generator=to_camel)


class _File(_Given):
    version: Literal[1] = Field(description="Another version is not to be taken.")


class ChecksumManifest(_File):
    """`manifest.json`: what belongs together."""

    files: dict[str, Sha256] = Field(description="SHA-256 of each file, by its name.")


class Size(_Given):
    cpu_millicores: int | None = Field(default=None, gt=0, description="Thousandths of a core.")
    memory_bytes: int | None = Field(default=None, gt=0, description="Limit of the container.")


class Users(_Given):
    served: Count = Field(description="How many are in the users' files.")
    capacity: Count = Field(description="How many the tier allows.")


class Portals(_Given):
    chat_seconds: int | None = Field(default=None, description="For how long messages are kept.")
    file_seconds: int | None = Field(default=None, description="For how long files are kept.")
    quota_bytes: int | None = Field(default=None, description="Bytes of files for each community.")


class CommunityLimits(_Given):
    calls: int | None = Field(default=None, gt=0, description="Calls of one community at the same time.")
    participants: int | None = Field(default=None, gt=0, description="Who are in them, or are rung.")


class Http01Solver(_Given):
    host: Name = Field(description="Ask all its IPv4 addresses, looked up for each challenge.")
    port: int = Field(ge=1, le=65_535)


class Instance(_File):
    """`instance.json`: the instance itself."""

    name: Name
    domain: Name = Field(description="Host of the instance's own page.")
    public_address: str = Field(description="IPv4 address by which the Internet reaches it.")
    media_port: int = Field(ge=1, le=65_535, description="UDP port of the media.")
    bandwidth_mbps: int = Field(gt=0, description="What the Internet line carries.")
    size: Size = Field(description="What the media container may use. It may change while it runs.")
    users: Users
    portals: Portals | None = None
    community_limits: CommunityLimits | None = None
    acme_thumbprint: Thumbprint | None = Field(
        default=None, description="RFC 7638, of the account that orders certificates: answer its challenges."
    )
    http01_solver: Http01Solver | None = Field(
        default=None, description="Who solves challenges where somebody else orders certificates: pass them on."
    )


class Link(_Given):
    name: Name
    number: int = Field(ge=2, le=MAX_LINKS + 1, description="Names the link everywhere.")
    domain: Name = Field(description="Host of its site.")
    address: str = Field(description="The TVox's end of the tunnel.")
    community: Name
    enabled: bool = Field(description="Whether it is served.")
    service_state: ServiceState | None = Field(
        default=None, description="OutOfService: no new sessions, those that are open go on."
    )


class Links(_File):
    """`links.json`: the accepted TVoxes."""

    links: list[Link] = Field(max_length=MAX_LINKS)


class Community(_Given):
    name: Name
    display_name: str
    enabled: bool = Field(description="Whether its links and users are served.")
    portal_domain: Name | None = Field(default=None, description="Host at which its users log in.")


class Communities(_File):
    """`communities.json`: the customers."""

    communities: list[Community]


class User(_Given):
    community: Name
    name: Name
    display_name: str
    functions: list[Function] = Field(description="What he may do.")


class UsersShard(_File):
    """`users-NN.json`: the users to serve; the union of all such files counts."""

    users: list[User]


class Login(_Given):
    community: Name
    name: Name
    hash: str = Field(max_length=512, description="argon2id or bcrypt.")


class Erasure(_Given):
    community: Name
    name: Name
    id: Id = Field(description="Done once, and told by `erased`.")


class LoginsShard(_File):
    """`logins-NN.json`: hashes of passwords, and whose data is to be erased at once."""

    logins: list[Login]
    erasures: list[Erasure] | None = None


class Certificate(_Given):
    domain: Name
    certificate: str = Field(description="PEM, leaf first.")
    key: str = Field(description="PEM, PKCS #8 or its like, not encrypted.")


class CertificatesShard(_File):
    """`certs-N.json`: certificates and keys; the union of all such files counts."""

    certificates: list[Certificate]


class Refused(_Answer):
    domain: str
    problem: str = Field(max_length=300, description="In words for people.")


class Clients(_Answer):
    open: Count
    places: Count
    refused: Count = Field(description="Since the start.")


class Portal(_Answer):
    logins: Count = Field(description="How many of its users can log in.")


class Connections(_Answer):
    """`GET /connections`: what the appliance says of itself."""

    connections: Count = Field(description="What a restart would cut.")
    draining: bool
    config: Sha256 | None = Field(description="SHA-256 of the manifest.json in force.")
    users: Count
    links: Count
    error: str | None = Field(max_length=2000, description="For people; without keys, and without names of users.")
    by_link: dict[Number, Count] = Field(default_factory=dict)
    by_community: dict[str, Count] = Field(default_factory=dict)
    contract: int | None = Field(default=None, ge=1, description="Without it, or with 1, it has no portals.")
    not_taken: str | None = Field(default=None, description="Why the newest set is not in force.")
    refused: list[Refused] = Field(default_factory=list, max_length=MAX_LINKS + 1)
    out_of_service: dict[Number, Count] | None = None
    size: dict[Literal["cpuMillicores", "memoryBytes"], int] | None = None
    portals: dict[str, Portal] = Field(default_factory=dict, max_length=500)
    acme_thumbprint: Thumbprint | Literal[""] | None = None
    http01_solver: str | None = Field(default=None, max_length=300, description="host:port in force; empty for none.")
    erased: list[Id] = Field(default_factory=list, max_length=50)
    clients: Clients | None = None


class CommunityUsage(_Answer):
    calls: Count | None = None
    participants: Count | None = None
    call_seconds: Count | None = Field(default=None, description="Only grows, also over restarts.")
    chat_bytes: Count | None = None
    file_bytes: Count | None = None


class Usage(_Answer):
    """`GET /usage`: what each customer uses."""

    communities: dict[str, CommunityUsage] = Field(default_factory=dict, max_length=250)
    refused: dict[str, Count] = Field(default_factory=dict, description="Calls and invitations, by their cause.")
    quota: dict[Literal["chatBytes", "fileBytes"], Count] = Field(default_factory=dict)
    retention: dict[Literal["chatSeconds", "fileSeconds"], Count] = Field(default_factory=dict)


FILES: dict[str, type[_File]] = {
    "manifest.json": ChecksumManifest,
    "instance.json": Instance,
    "links.json": Links,
    "communities.json": Communities,
    **{f"users-{shard:02d}.json": UsersShard for shard in range(USER_SHARDS)},
    **{f"logins-{shard:02d}.json": LoginsShard for shard in range(USER_SHARDS)},
    **{f"certs-{shard}.json": CertificatesShard for shard in range(CERTIFICATE_SHARDS)},
}
"""What each file holds."""
ANSWERS: dict[str, type[_Answer]] = {"connections": Connections, "usage": Usage}


def schemas() -> dict[str, dict[str, Any]]:
    """JSON schemas (draft 2020-12) by the name of the file that has them. Names that are new are to be ignored by an
    image, so that the published ones allow any."""
    models: dict[str, type[BaseModel]] = {name.removesuffix(".json"): model for name, model in FILES.items()}
    shards = {name: models.pop(name) for name in list(models) if "-" in name}
    models |= {name.partition("-")[0]: model for name, model in shards.items()} | ANSWERS
    found = {}
    for name, model in models.items():
        schema = model.model_json_schema()
        for part in (schema, *schema.get("$defs", {}).values()):
            if "properties" in part:
                part.pop("additionalProperties", None)
        found[f"{name}.schema.json"] = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema
    return found
