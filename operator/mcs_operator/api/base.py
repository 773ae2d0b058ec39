"""What the three kinds share: the parsed object and its errors, references, conditions, and rules in two languages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from mcs_operator.api.conditions import ConditionStatus
from mcs_operator.api.fields import ObjectName
from mcs_operator.api.impact import list_map
from mcs_operator.api.wording import explain, wrong_type
from mcs_operator.timestamps import Timestamp

MAX_NAME = 40
"""Characters of an object's name; `<instance>-max-250-tvoxlinks` and label values have to hold it."""

_VALUE_LIMIT = 80
_PROBLEM_LIMIT = 5
_NUMBER_BITS = 128


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that one field alone cannot say, once for the API server and once for whoever parses without it.

    ``cel`` is an x-kubernetes-validations rule on the object that declares it; with ``oldSelf`` it is a transition
    rule, which only the API server can judge (then ``holds`` is None). ``holds`` is the same rule over the parsed
    model. ``message`` names the field, the rule and the remedy; ``message_cel`` computes it where the value helps.
    """

    cel: str
    message: str
    field_path: str = ""
    message_cel: str = ""
    reason: str = "FieldValueInvalid"
    holds: Callable[[Any], bool] | None = None


class Model(BaseModel):
    """Base of every model: frozen, camelCase outside and snake_case inside, unknown fields ignored.

    Unknown fields: an object written through a newer CRD must still be served by the operator before it.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )

    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _keep_the_rules(self) -> Self:
        for rule in self.rules:
            if rule.holds is not None and not rule.holds(self):
                raise PydanticCustomError("rule", rule.message, {"field": rule.field_path})
        return self


def _texts(value: object) -> object:
    """Null is empty. One error for all values that are no texts: there may be as many as fit into a megabyte."""
    if value is None:
        return {}
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str) or not isinstance(inner, str):
                told = f"the value of {str(key)[:_VALUE_LIMIT]} {wrong_type('str', inner)}"
                raise PydanticCustomError("entries", "{said}", {"said": told})
    return value


StringMap = Annotated[
    Mapping[str, str],
    BeforeValidator(_texts),
]
"""A map of strings; null is empty."""


class Metadata(Model):
    """The part of metadata that the operator reads. In an admission review of a creation, some of it is empty."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: Timestamp | None = None
    deletion_timestamp: Timestamp | None = None
    labels: StringMap = Field(default_factory=dict)
    annotations: StringMap = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with an object: where (``spec.vpn.slots``), the value as text, and the rule."""

    path: str
    value: str
    rule: str

    def __str__(self) -> str:
        return f"{self.path}: {self.value}: {self.rule}" if self.value else f"{self.path}: {self.rule}"


class InvalidObjectError(ValueError):
    """An object that cannot be served as it is; the text names field, value and rule, and is short.

    However large and wrong the object is, there are not many ``problems``: every list and map is counted before its
    entries are looked at.
    """

    def __init__(self, kind: str, name: str, problems: tuple[Problem, ...]) -> None:
        self.kind, self.name, self.problems = kind, name, problems
        shown = "; ".join(str(problem) for problem in problems[:_PROBLEM_LIMIT])
        more = f"; and {len(problems) - _PROBLEM_LIMIT} more" if len(problems) > _PROBLEM_LIMIT else ""
        super().__init__(f"{shown}{more}")


def problems_of(error: ValidationError) -> tuple[Problem, ...]:
    """What pydantic found, in sentences."""
    return tuple(
        _problem(item["loc"], item["msg"], item["type"], item.get("input"), item.get("ctx", {}))
        for item in error.errors(include_url=False)
    )


def _problem(location: tuple[int | str, ...], message: str, kind: str, value: object, context: Any) -> Problem:
    path = path_of(location)
    if kind == "rule":  # the input is a whole object, and the message names field and value already
        return Problem(path + str(context["field"]), "", message)
    rule = explain(kind, message, value, context)
    if kind in ("missing", "entries", "extra_forbidden") or _is_personal(location, kind):
        return Problem(path or "the object", "", rule)
    return Problem(path or "the object", shown(value), rule)


def path_of(location: Sequence[int | str]) -> str:
    """``spec.users[3].name``. A part that is a key of a map, and so anybody's text, is cut."""
    path = ""
    for part in location:
        text = str(part)[:_VALUE_LIMIT]
        path += f"[{part}]" if isinstance(part, int) else f".{text}" if path else text
    return path


def shown(value: object) -> str:
    """A single value in a message, short and on one line; "" for what is no single value."""
    if value is None or isinstance(value, Mapping | list | tuple):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > _NUMBER_BITS:
        return "a number with too many digits"
    text = repr(value[: _VALUE_LIMIT + 1] if isinstance(value, str) else value)
    return text if len(text) <= _VALUE_LIMIT else text[:_VALUE_LIMIT] + "…"


def _is_personal(location: tuple[int | str, ...], kind: str) -> bool:
    """Whether the value may name a user: messages go into conditions and logs, which never do."""
    return location[:2] == ("spec", "users") and kind != "enum"


class Reference(Model):
    """Reference to an object in the same namespace."""

    name: ObjectName = Field(description="Name of the object, in the same namespace.")


class Tls(Model):
    """Where the certificate of a domain comes from."""

    secret_ref: Reference | None = Field(
        default=None,
        description="Secret of type kubernetes.io/tls in the same namespace: tls.crt has the chain (PEM, leaf first), "
        "tls.key the private key. Its content may change at any time, for example by cert-manager.",
    )


class StatusCondition(Model):
    """One observation about the object (the fields of metav1.Condition)."""

    type: str = Field(
        description="What is observed, for example Ready.",
        max_length=316,
        pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z]([A-Za-z0-9]*)$",
    )
    status: ConditionStatus = Field(description="Whether it is so: True, False or Unknown.")
    observed_generation: int | None = Field(
        default=None, ge=0, description="metadata.generation that the observation is about; older than that: outdated."
    )
    last_transition_time: Timestamp = Field(description="When `status` last changed (RFC 3339).")
    reason: str = Field(
        description="One CamelCase word for programs; docs/conditions.md lists all of them with their triggers.",
        min_length=1,
        max_length=128,
        pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
    )
    message: str = Field(description="The same for people: field, value, what to do. May be empty.", max_length=32768)


class Status(Model):
    """What every kind reports."""

    observed_generation: int | None = Field(
        default=None,
        ge=0,
        description="metadata.generation that this status is about. While it is older, the operator has not seen the "
        "latest change yet.",
    )
    conditions: tuple[StatusCondition, ...] = Field(
        default=(),
        max_length=32,
        description="Ready, Reconciling and Stalled follow kstatus: wait with "
        "`kubectl wait --for=condition=Ready`. Every condition of the kind is always present.",
        json_schema_extra=dict(list_map("type")),
    )


PENDING_STATUS: Mapping[str, Any] = {
    "conditions": [
        {
            "type": "Ready",
            "status": "Unknown",
            "reason": "Pending",
            "message": "Waiting for the MCS operator.",
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        }
    ]
}
"""Default of `status` in the CRDs. Without it a new object has no condition, which kstatus, and so every GitOps tool,
takes for "done": the pipeline would be green before the operator has looked."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; ``wide`` ones only with -o wide."""

    name: str
    path: str
    description: str
    type: str = "string"
    wide: bool = False


def condition_column(name: str, type_: str, field: str = "status", *, wide: bool = False) -> Column:
    """A column with one field of one condition."""
    return Column(name, f'.status.conditions[?(@.type=="{type_}")].{field}', f"{field} of condition {type_}", wide=wide)


AGE = Column("Age", ".metadata.creationTimestamp", "Time since the object was created", type="date")


class KubernetesObject(Model):
    """A live object of one of our kinds, parsed at the door. Status is left out: it is never an input of a decision."""

    kind: ClassVar[str]
    plural: ClassVar[str]
    short_names: ClassVar[tuple[str, ...]] = ()
    columns: ClassVar[tuple[Column, ...]] = ()
    status_model: ClassVar[type[Status]]
    name_pattern: ClassVar[str] = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
    """No dots: names become labels' values, host names and parts of other objects' names."""

    metadata: Metadata

    @classmethod
    def from_object(cls, body: Mapping[str, Any]) -> Self:
        """Parse an object as the API server returns it. InvalidObjectError where it does not fit the schema."""
        try:
            return cls.model_validate(body)
        except ValidationError as error:
            metadata = body.get("metadata") if isinstance(body, Mapping) else None
            name = metadata.get("name", "") if isinstance(metadata, Mapping) else ""
            raise InvalidObjectError(cls.kind, name if isinstance(name, str) else "", problems_of(error)) from None

    @property
    def name(self) -> str:
        """metadata.name, unique in the namespace."""
        return self.metadata.name

    @property
    def namespace(self) -> str:
        """metadata.namespace."""
        return self.metadata.namespace

    @property
    def uid(self) -> str:
        """metadata.uid: the same name created again has another."""
        return self.metadata.uid

    @property
    def generation(self) -> int:
        """metadata.generation: counts changes of the spec."""
        return self.metadata.generation

    @property
    def created(self) -> datetime:
        """metadata.creationTimestamp; what the API server has not stored yet sorts after all that it has."""
        return self.metadata.creation_timestamp or datetime.max.replace(tzinfo=UTC)

    @property
    def deleting(self) -> bool:
        """Whether deletion has begun (a foreign finalizer may hold the object for long)."""
        return self.metadata.deletion_timestamp is not None

    @property
    def labels(self) -> Mapping[str, str]:
        """metadata.labels."""
        return self.metadata.labels

    @property
    def annotations(self) -> Mapping[str, str]:
        """metadata.annotations."""
        return self.metadata.annotations
