"""What OAuth knows: applications, what they ask for and what they were granted."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec

from tenfold.platform.identity import rules
from tenfold.platform.identity.types import Confidential

#: A parameter of a request, as a stranger may send it.
type Parameter = Annotated[str, msgspec.Meta(max_length=4096)] | None


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """A client: a program of somebody else's, as it registered itself."""

    id: int
    name: str
    website: str | None
    redirect_uris: Sequence[str]
    #: What it may ask accounts for, at most.
    scopes: Sequence[str]
    created_at: datetime

    @property
    def client_id(self) -> str:
        return rules.public_id(rules.CLIENT, 0, self.id)


class StoredApplication(Application, frozen=True, kw_only=True):
    #: None for a public client, which can't keep a secret.
    secret_digest: bytes | None

    def __repr__(self) -> str:
        return f"StoredApplication(id={self.id})"


class NewApplication(Application, frozen=True, kw_only=True):
    #: Shown this once; None for a public client.
    client_secret: str | None

    def __repr__(self) -> str:
        return f"NewApplication(id={self.id})"


class AuthorizationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What an application wants, as it sends a browser to say so (RFC 6749, 4.1.1; RFC 7636, 4.3)."""

    response_type: Parameter = None
    client_id: Parameter = None
    redirect_uri: Parameter = None
    scope: Parameter = None
    state: Parameter = None
    code_challenge: Parameter = None
    code_challenge_method: Parameter = None


class ClientCredentials(Confidential, frozen=True, kw_only=True):
    """How a client says who it is (RFC 6749, 2.3.1), in the body or by HTTP Basic."""

    client_id: Parameter = None
    client_secret: Parameter = None


class TokenRequest(Confidential, frozen=True, kw_only=True):
    """The parameters of all kinds of grants; which are needed depends on the first."""

    grant_type: Parameter = None
    code: Parameter = None
    redirect_uri: Parameter = None
    code_verifier: Parameter = None
    username: Parameter = None
    password: Parameter = None
    refresh_token: Parameter = None
    scope: Parameter = None


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What an account allowed an application, as it is stored."""

    account_id: int
    id: int
    application_id: int
    scopes: Sequence[str]
    code_digest: bytes | None = None
    redirect_uri: str | None = None
    challenge: str | None = None
    #: Of the token in use, if one was given yet.
    access_id: int | None = None
    access_digest: bytes | None = None
    refresh_digest: bytes | None = None
    #: Of the part of what renews the token that stays the same each time.
    family_digest: bytes | None = None
    #: Since it was granted.
    age_seconds: float = 0.0

    def __repr__(self) -> str:
        return f"Grant(id={self.id})"


class GrantSummary(msgspec.Struct, frozen=True, kw_only=True):
    application_id: int
    scopes: Sequence[str]
    created_at: datetime
    used_at: datetime | None


class AuthorizedApplication(msgspec.Struct, frozen=True, kw_only=True):
    """An application that may act for an account, with all that was granted to it."""

    application: Application
    scopes: Sequence[str]
    authorized_at: datetime
    used_at: datetime | None


class Token(Confidential, frozen=True, kw_only=True, omit_defaults=True):
    """An answer as RFC 6749 (5.1) has it, with `created_at` (seconds since 1970) as Mastodon's clients expect it."""

    access_token: str
    token_type: str
    scope: str
    created_at: int
    #: Seconds; without it the token doesn't end by itself.
    expires_in: int | None = None
    refresh_token: str | None = None
