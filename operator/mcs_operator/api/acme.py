"""spec.tls of an MCSInstance: its certificate, the ACME server (RFC 8555) that issues those which nobody brings, and
the solvers of who orders them elsewhere."""

from __future__ import annotations

import base64
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from mcs_operator.api.base import Model, Reference, Rule, Tls
from mcs_operator.api.wording import Says

HttpsUrl = Annotated[
    str,
    StringConstraints(max_length=512, pattern=r"^https://[A-Za-z0-9]([A-Za-z0-9.:-]{0,252}[A-Za-z0-9])?(/[!-~]*)?$"),
    Says("https_url", "must be an https address, such as https://acme.example.com/directory"),
]

Email = Annotated[
    str,
    StringConstraints(max_length=254, pattern=r"^[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,189}$"),
    Says("email", "must be a mail address, such as certificates@example.com"),
]

Base64 = Annotated[
    str,
    StringConstraints(max_length=65536, pattern=r"^[A-Za-z0-9+/]+={0,2}$"),
    Says("base64", "must be base64 on one line, such as base64 -w0 ca.crt prints it"),
]


KeyId = Annotated[
    str,
    StringConstraints(min_length=1, max_length=512, pattern=r"^[!-~]+$"),
    Says("key_id", "must be printable characters without spaces, as the issuer gives the key's id"),
]


ServiceName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"),
    Says("service_name", "must be the name of a Service: lower case letters, digits and -, such as acme-solver"),
]
"""One label: with a dot it could name another namespace."""


class ExternalAccountBinding(Model):
    """What ties the account at the ACME server to one that the issuer knows already."""

    key_id: KeyId = Field(alias="keyID", description="The key's id, as the issuer gives it.")
    key_secret_ref: Reference = Field(
        description="Secret in the same namespace whose entry `secret` is the MAC key, base64url without padding, as "
        "the issuer gives it. It is read when the account is made, and not kept."
    )


class Acme(Model):
    """Certificates by ACME, RFC 8555, for each public name that is served and has none: HTTP-01 at port 80."""

    server: HttpsUrl = Field(
        description="Directory of the ACME server, for example https://acme.example.com/directory. To name one is to "
        "agree to its terms of service.",
    )
    email: Email | None = Field(
        default=None, description="Where the server may write to about the account. Default: nobody is named."
    )
    account_secret_ref: Reference | None = Field(
        default=None,
        description="Account of your own: a Secret of type kubernetes.io/tls whose tls.key is its private key, EC "
        "P-256 or RSA; tls.crt may be empty. Default: the operator makes a key, and keeps it in Secret "
        "`<instance>-acme-account`.",
    )
    external_account_binding: ExternalAccountBinding | None = Field(
        default=None, description="For servers that take no stranger: what ties the account to one that they know."
    )
    ca_bundle: Base64 | None = Field(
        default=None,
        description="Certificates (PEM, in base64) of the CAs that may vouch for the server's own HTTPS, instead of "
        "the public ones: for a server of your own.",
    )
    certificates_per_week: int = Field(
        default=50,
        ge=1,
        le=100_000,
        description="New certificates that the server gives for one registered domain (example.com) in seven days. "
        "What is more waits for its day, and CertificateReady says which. Renewals do not count. Public servers give "
        "50 as a rule.",
    )

    @property
    def ca_pem(self) -> str:
        """`caBundle` as text; empty where there is none, or nothing that is base64 and text."""
        try:
            return base64.b64decode(self.ca_bundle or "", validate=True).decode()
        except ValueError:
            return ""


class ServiceReference(Model):
    """Reference to a Service in the same namespace."""

    name: ServiceName = Field(description="Name of the Service, in the same namespace. It should be headless.")
    port: int = Field(
        default=8089,
        ge=1,
        le=65535,
        description="TCP port at which the pods behind it listen. Default: that of cert-manager's solvers.",
    )


class Http01(Model):
    """HTTP-01 by somebody else's solvers, such as cert-manager's."""

    service_ref: ServiceReference = Field(
        description="Service that selects the solvers, in the same namespace; for cert-manager's a headless one with "
        'selector `acme.cert-manager.io/http01-solver: "true"`. All addresses behind it are asked for each challenge, '
        "and the first good answer counts. The pod's own addresses are not asked."
    )


class InstanceTls(Tls):
    """Where the certificates of the public names come from that bring none of their own."""

    rules: ClassVar = (
        Rule(
            cel="!has(self.acme) || !has(self.http01)",
            message="cannot be set beside acme, whose challenges the appliance answers itself; remove one of the two",
            field_path=".http01",
            holds=lambda tls: tls.acme is None or tls.http01 is None,
        ),
    )

    acme: Acme | None = Field(
        default=None,
        description="The ACME server from which the operator gets certificates for the names of the instance, of "
        "links and of portals that have no Secret of their own, and that the one of secretRef does not cover; each "
        "once its DomainResolved is True. What was issued is kept when this is taken away, and renewed no more.",
    )
    http01: Http01 | None = Field(
        default=None,
        description="Who solves challenges of HTTP-01 where certificates are ordered by somebody else, such as "
        "cert-manager: the appliance passes /.well-known/acme-challenge/ at port 80 of the names of the instance, of "
        "links and of portals on to a Service. Not beside acme. Default: those of a link go to its TVox.",
    )
