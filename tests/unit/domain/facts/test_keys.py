"""Keys of the operator's own: they are never shown."""

from __future__ import annotations

import pytest

from mcs_operator.domain.facts.keys import Authority, KeyPair


@pytest.mark.parametrize("kind", [KeyPair, Authority])
def test_a_certificate_is_shown_and_its_key_is_not(kind: type[KeyPair | Authority]) -> None:
    assert repr(kind("certificate", "hunter2")) == f"{kind.__name__}(cert_pem='certificate')"
