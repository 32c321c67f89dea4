"""Identity: accounts, sessions, API keys and access tokens. One account serves all systems."""

from tenfold.platform.identity.access import Identity, open_identity
from tenfold.platform.identity.signing import Jwk, Jwks, Verifier
from tenfold.platform.identity.types import ANONYMOUS, EVERYTHING, Account, Principal, Tier

__all__ = [
    "ANONYMOUS",
    "EVERYTHING",
    "Account",
    "Identity",
    "Jwk",
    "Jwks",
    "Principal",
    "Tier",
    "Verifier",
    "open_identity",
]
