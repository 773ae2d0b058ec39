"""WHAT WE SIGN: the instance's CA, the certificates under it, tls-crypt keys and fingerprints.

Pure except for the random numbers: no clock (``now`` is an argument), no files, no network. Everything is made
so that the oldest peer can read it: a TVox on CentOS 7 with OpenVPN 2.4 and OpenSSL 1.0.2. That means EC P-256
as a named curve, SHA-256, PKCS #8 keys, and none but the classic extensions.
"""

from mcs_operator.domain.facts.keys import Authority, KeyPair
from mcs_operator.domain.rules.addressing import agent_name
from mcs_operator.pki.authority import InvalidAuthorityError, load_authority
from mcs_operator.pki.belief import believed
from mcs_operator.pki.expiry import Expiries, expiries
from mcs_operator.pki.identities import complete
from mcs_operator.pki.inspect import common_name, fingerprint, issued_by, not_after
from mcs_operator.pki.mint import mint_agent, mint_ca, mint_client, mint_server, mint_tls_crypt

__all__ = [
    "Authority",
    "Expiries",
    "InvalidAuthorityError",
    "KeyPair",
    "agent_name",
    "believed",
    "common_name",
    "complete",
    "expiries",
    "fingerprint",
    "issued_by",
    "load_authority",
    "mint_agent",
    "mint_ca",
    "mint_client",
    "mint_server",
    "mint_tls_crypt",
    "not_after",
]
