"""What identity knows: who asks (Principal), and what an account holds."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from tenfold.platform.errors import Unauthorized
from tenfold.platform.identity.errors import ScopeMissing
from tenfold.platform.identity.scopes import covers

type Tier = Literal["free", "plus", "enterprise"]

#: The scope of what an account does by itself; a token of somebody else's application names less.
EVERYTHING = frozenset({"*"})


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks. Made from a session cookie, an access token or an API key; all fields are empty for a stranger.

    With `via="oauth"` an application asks: for an account within the scopes that it was granted, or for itself,
    without an account.
    """

    account_id: int | None = None
    name: str | None = None
    tier: Literal["anonymous", "free", "plus", "enterprise"] = "anonymous"
    scopes: frozenset[str] = frozenset()
    via: Literal["cookie", "token", "key", "oauth"] | None = None
    #: The id of the session, the key or the grant behind this.
    credential_id: int | None = None
    #: The application that asks, with `via="oauth"`.
    application_id: int | None = None
    application_name: str | None = None

    def may(self, scope: str) -> bool:
        """Whether this scope is covered. Sessions and API keys may do all that their account may."""
        return covers(self.scopes, scope)

    def require(self, scope: str) -> int:
        """The id of the account that asks and may do this. Raises Unauthorized without an account, ScopeMissing."""
        if self.account_id is None:
            raise Unauthorized
        if not self.may(scope):
            raise ScopeMissing(scope)
        return self.account_id


ANONYMOUS = Principal()


class Account(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    name: str
    display_name: str
    tier: Tier
    created_at: datetime


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A browser that is signed in."""

    id: int
    agent: str
    created_at: datetime
    seen_at: datetime


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    account_id: int
    id: int
    name: str
    created_at: datetime
    used_at: datetime | None


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """What a password is checked against."""

    id: int
    password_hash: str
    password_changed_at: datetime

    def __repr__(self) -> str:
        return f"Login(id={self.id})"


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """A stored session, key or token, with the account that it stands for."""

    digest: bytes
    #: None for the token of an application that acts for itself.
    name: str | None
    tier: Tier | None
    #: Seconds since its use was last written down; None when never.
    unseen_seconds: float | None
    #: Seconds that are left of it; None when it doesn't end by itself.
    left_seconds: float | None
    #: Of OAuth's tokens only.
    application_id: int | None = None
    scopes: Sequence[str] = ("*",)

    def __repr__(self) -> str:
        return f"Holding(name={self.name!r})"


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A session, key or token as caches hold it: whom it stands for if its secret has this digest."""

    digest: bytes
    principal: Principal
    #: Seconds since 1970; None when it doesn't end by itself.
    ends_at: float | None

    def __repr__(self) -> str:
        return f"Credential(principal={self.principal!r})"


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """An Ed25519 key: 32 bytes of public half, and the private half encrypted."""

    kid: str
    public: bytes
    sealed: bytes
    age_seconds: float

    def __repr__(self) -> str:
        return f"SigningKey(kid={self.kid!r})"


class Confidential(msgspec.Struct, frozen=True, kw_only=True):
    """A request that holds a password, which mustn't reach a log by way of repr."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(...)"


class SignUp(Confidential, frozen=True, kw_only=True):
    name: str
    password: str
    #: The name itself when it isn't given.
    display_name: str | None = None


class SignIn(Confidential, frozen=True, kw_only=True):
    name: str
    password: str


class ChangePassword(Confidential, frozen=True, kw_only=True):
    current: str
    new: str
