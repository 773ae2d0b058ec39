"""One certificate, from the account to the chain: the ACME library (which blocks) within bounds.

HTTP-01 needs nothing to be brought anywhere: the appliance answers every challenge by the account's thumbprint.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event, Lock
from typing import Any

import requests
from acme import challenges, client, errors, messages
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from josepy.jwa import ES256, RS256
from josepy.jwk import JWK, JWKEC, JWKRSA

from mcs_operator.domain.facts.keys import KeyPair
from mcs_operator.issuing.issuer import Issuer, IssuerError, RefusedError
from mcs_operator.issuing.network import Limits, Network, StoppedError, trusting

logging.getLogger("acme").setLevel(logging.WARNING)  # at the level below it writes down every request
ORDER_SECONDS, QUESTION_SECONDS = 180.0, 20.0
_OF_THE_ACCOUNT = ("accountDoesNotExist", "externalAccountRequired", "userActionRequired", "badSignatureAlgorithm")
"""Problems that no other name would be without."""


@dataclass(frozen=True, slots=True)
class _Account:
    """The account as the server knows it."""

    directory: messages.Directory
    registration: messages.RegistrationResource


@dataclass(slots=True)
class AcmeClient:
    """Orders from one issuer, several at a time, each with a connection of its own.

    ``mac_key``: of an external account. ``may_go``: whether anything may be sent, asked before each request.
    ``loopback``: whether the server may be on this machine.
    """

    issuer: Issuer
    mac_key: str = field(repr=False)
    may_go: Callable[[], bool] = lambda: True
    loopback: bool = False
    seconds: float = ORDER_SECONDS
    _account: _Account | None = None
    _door: Lock = field(default_factory=Lock)
    _stopped: Event = field(default_factory=Event)

    def stop(self) -> None:
        """Nothing is sent any more."""
        self._stopped.set()

    def order(self, domain: str) -> KeyPair:
        """A new key, and its certificate for this name."""
        network = self._network(self.seconds)
        try:
            account = self._known(network)
            network.account = account.registration
            return _issued(client.ClientV2(account.directory, network), network, domain, self.seconds)
        except (RefusedError, IssuerError):
            raise
        except StoppedError:
            raise IssuerError("nothing is ordered any more") from None
        except (requests.ConnectionError, requests.Timeout) as error:
            if self._account is not None and isinstance(_innermost(error), ConnectionResetError):
                # It is there, and falls over this one request: the others must not wait for that.
                raise RefusedError(f"the server broke off: {_cause(error)}") from None
            raise IssuerError(f"the ACME server does not answer: {_cause(error)}") from None
        except messages.Error as error:
            if _kind(error) in _OF_THE_ACCOUNT:
                self._account = None
                raise IssuerError(f"the ACME server refuses the account: {_words(error)}") from None
            raise RefusedError(_words(error), network.again) from None
        except errors.ValidationError as error:
            raise RefusedError("; ".join(_failures(error)) or "the server could not validate the name") from None
        except errors.IssuanceError as error:
            raise RefusedError(_words(error.error), network.again) from None
        except errors.TimeoutError:
            raise RefusedError(f"the server was not done within {self.seconds:.0f} s") from None
        except Exception as error:  # what a server answers may fail in the library in any way
            raise RefusedError(f"the server's answer is of no use: {_cause(error)}", network.again) from None
        finally:
            network.session.close()

    def renewal(self, chain: str) -> tuple[datetime | None, datetime]:
        """When the server would have this certificate renewed (ARI, RFC 9773): a moment of the time that it suggests,
        another one at each question. And when it may be asked again."""
        network, account = self._network(min(QUESTION_SECONDS, self.seconds)), self._account
        try:
            directory = account.directory if account else client.ClientV2.get_directory(self.issuer.server, network)
            at, again = client.ClientV2(directory, network).renewal_time(chain.encode())
            return at and at.astimezone(UTC), again.astimezone(UTC)
        finally:
            network.session.close()

    def _network(self, seconds: float) -> Network:
        try:
            context = trusting(self.issuer.ca_pem)
        except ValueError as error:
            raise IssuerError(str(error)) from None
        key = _signing_key(self.issuer.account.key_pem)
        algorithm = ES256 if isinstance(key, JWKEC) else RS256
        until = time.monotonic() + seconds
        limits = Limits(until, lambda: self.may_go() and not self._stopped.is_set(), self.loopback)
        return Network(key, algorithm, context, limits)

    def _known(self, network: Network) -> _Account:
        """The account, made, or found by its key, once for all orders."""
        with self._door:
            if self._account is None:
                try:
                    self._account = self._register(network)
                except (StoppedError, requests.ConnectionError, requests.Timeout):
                    raise
                except Exception as error:
                    raise IssuerError(f"the ACME server does not take the account: {_cause(error)}") from None
            return self._account

    def _register(self, network: Network) -> _Account:
        directory = client.ClientV2.get_directory(self.issuer.server, network)
        binding = None
        if self.issuer.key_id:
            public = network.key.public_key() if network.key else None
            binding = messages.ExternalAccountBinding.from_data(public, self.issuer.key_id, self.mac_key, directory)
        wanted = messages.NewRegistration.from_data(
            email=self.issuer.email or None, terms_of_service_agreed=True, external_account_binding=binding
        )
        try:
            return _Account(directory, client.ClientV2(directory, network).new_account(wanted))
        except errors.ConflictError as known:
            return _Account(directory, messages.RegistrationResource(body=wanted, uri=known.location))


def _signing_key(pem: str) -> JWK:
    """The account's key, which was looked at where its thumbprint was taken (`pki.account`). josepy would test whether
    an RSA key's factors are primes: for half a second nothing else of the operator runs."""
    key = serialization.load_pem_private_key(pem.encode(), password=None, unsafe_skip_rsa_key_validation=True)
    return JWKEC(key=key) if isinstance(key, ec.EllipticCurvePrivateKey) else JWKRSA(key=key)


def _issued(orders: client.ClientV2, network: Network, domain: str, seconds: float) -> KeyPair:
    key = ec.generate_private_key(ec.SECP256R1())
    until = datetime.now() + timedelta(seconds=seconds)  # as the library has it, of this machine's own clock
    order = orders.new_order(_request(domain, key))
    for authorization in order.authorizations:
        if authorization.body.status == messages.STATUS_PENDING:
            _answer(orders, network, authorization)
    done = orders.finalize_order(orders.poll_authorizations(order, until), until)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return KeyPair(done.fullchain_pem, private.decode())


def _answer(orders: client.ClientV2, network: Network, authorization: messages.AuthorizationResource) -> None:
    """Say that the challenge is answered, as it always is."""
    for offered in authorization.body.challenges:
        if isinstance(offered.chall, challenges.HTTP01):
            orders.answer_challenge(offered, offered.chall.response(network.key))
            return
    raise RefusedError("the server offers no challenge by HTTP-01 for this name")


def _request(domain: str, key: CertificateIssuerPrivateKeyTypes) -> bytes:
    """A certificate signing request for one name."""
    names = x509.SubjectAlternativeName([x509.DNSName(domain)])
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, critical=False)
    return request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _failures(error: errors.ValidationError) -> Iterator[str]:
    for authorization in error.failed_authzrs:
        for challenge in authorization.body.challenges:
            if challenge.error is not None:
                yield _words(challenge.error)


def _kind(error: messages.Error) -> str:
    """Also of a kind that the library does not know, such as userActionRequired."""
    return str(error.typ).rsplit(":", 1)[-1]


def _words(error: messages.Error) -> str:
    """The server's own, with the kind of problem before them, and those about single names after."""
    said = f"{_kind(error)}: {error.detail or error.title or 'no reason given'}"
    return "; ".join([said, *(_words(sub) for sub in (error.subproblems or ())[:3])])


def _cause(error: Any) -> str:
    """What failed, in the innermost words: those around them repeat the address and name Python's objects."""
    if isinstance(error, messages.Error):
        return _words(error)
    inner = _innermost(error)
    text = str(inner)
    return text.rsplit("object at", 1)[-1].partition(": ")[2] or text or type(inner).__name__


def _innermost(error: BaseException) -> BaseException:
    while True:
        cause = getattr(error, "reason", None) or error.__cause__ or error.__context__
        if not isinstance(cause, BaseException):
            return error
        error = cause
