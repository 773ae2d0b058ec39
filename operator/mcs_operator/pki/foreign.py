"""Certificates and keys that others made: read within bounds, and whatever a parser does, the answer is a sentence.

A parser of certificates has more kinds of errors than it documents, a Rust panic among them, which no ``except
Exception`` sees. One customer's strange certificate must not end the reconciliation of 249 others.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from functools import lru_cache, wraps
from threading import Lock
from typing import Generic, TypeVar

from cryptography import x509

T = TypeVar("T")

warnings.filterwarnings("ignore", category=UserWarning, module=r"mcs_operator\.pki\.")
"""Of serial number 0, for example, which easy-rsa gives: what others made is none of our log's business."""

MAX_BYTES = 30_000
"""Of one PEM text, as the appliance's contract has it: a chain of ten RSA-4096 certificates is half of it."""
MAX_CERTIFICATES = 10
_PUBLIC_BYTES = 4096
"""Of a text that is kept as it is: a thousand of them are four megabytes at most."""
_SHOWN = 80
"""Characters of somebody's text in a message of ours."""


class ForeignError(ValueError):
    """What is wrong with somebody's certificate or key, in words that quote nothing of it."""


def attempt(work: Callable[[], T], problem: str) -> T:
    """What ``work`` gives; for any way in which it can fail ForeignError with ``problem``, which the error that was
    raised must not add to: parsers quote their input, and that may be a key."""
    try:
        return work()
    except (ForeignError, MemoryError):
        raise
    except Exception:
        raise ForeignError(problem) from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of Rust; derived from BaseException, and not importable
            raise
        raise ForeignError(problem) from None


def certificates(pem: str, what: str) -> list[x509.Certificate]:
    """The certificates of a PEM text, at least one; ForeignError where it is too large, or is none."""
    within_bounds(pem, what)
    found = pem.count("-----BEGIN CERTIFICATE-----")
    if found > MAX_CERTIFICATES:
        raise ForeignError(f"{what} has {found} certificates: {MAX_CERTIFICATES} at most are read")
    return attempt(lambda: x509.load_pem_x509_certificates(pem.encode()), f"{what} is not in PEM form")


def within_bounds(pem: str, what: str) -> None:
    """ForeignError for a text that is too large to be looked at."""
    if len(pem) > MAX_BYTES:
        raise ForeignError(f"{what} has {len(pem):,} bytes: {MAX_BYTES:,} at most are read")


def subject_of(certificate: x509.Certificate) -> str:
    """Whose certificate it is, for a message: quoted, and no longer than a message can bear."""
    text = attempt(certificate.subject.rfc4514_string, "a certificate's subject cannot be read")
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")


def on_a_line(text: str) -> str:
    """A name out of a certificate, for a message: without control characters, and cut."""
    plain = "".join(c if c.isprintable() else "?" for c in text[:_SHOWN])
    return plain if len(text) <= _SHOWN else f"{plain[:-1]}…"


class Remembered(Generic[T]):
    """What a function said of some texts, the last ``size`` of them.

    By digest: the texts themselves, keys among them, are not kept alive for it. What is beyond the bounds is not even
    hashed, as the function refuses it at once. An error is not remembered.
    """

    def __init__(self, function: Callable[..., T], size: int) -> None:
        self._function, self._size = function, size
        self._known: dict[bytes, T] = {}
        self._lock = Lock()

    def __call__(self, *texts: str) -> T:
        """As the function says, or said."""
        if any(len(text) > MAX_BYTES for text in texts):
            return self._function(*texts)
        digest = hashlib.blake2b(digest_size=32)
        for text in texts:
            data = text.encode(errors="surrogatepass")
            digest.update(len(data).to_bytes(4, "big") + data)
        key = digest.digest()
        with self._lock:
            if key in self._known:
                value = self._known[key] = self._known.pop(key)  # whoever was asked about last is at the end
                return value
        value = self._function(*texts)
        with self._lock:
            self._known[key] = value
            while len(self._known) > self._size:
                del self._known[next(iter(self._known))]
        return value

    def __len__(self) -> int:
        return len(self._known)


def remembered(size: int) -> Callable[[Callable[..., T]], Remembered[T]]:
    """Decorator for a function of texts, see `Remembered`."""
    return lambda function: Remembered(function, size)


def remembered_public(size: int) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Decorator for a function of certificates, which is asked a dozen times about each link at each reconciliation:
    by the texts themselves, as a digest costs more than most questions. Of texts that are small, and hold no key."""

    def decorate(function: Callable[..., T]) -> Callable[..., T]:
        known = lru_cache(size)(function)

        @wraps(function)
        def call(*texts: str) -> T:
            for text in texts:
                if len(text) > _PUBLIC_BYTES or "PRIVATE KEY" in text:
                    return function(*texts)
            return known(*texts)

        return call

    return decorate
