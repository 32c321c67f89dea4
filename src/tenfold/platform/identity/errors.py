"""How identity says no."""

from tenfold.platform.errors import Conflict, Forbidden, TenfoldError, Unauthorized


class NameTaken(Conflict):
    """The name {name} is taken."""


class WrongPassword(Unauthorized):
    """The name or the password is wrong."""


class BadCredential(Unauthorized):
    """This key or token isn't valid, or is no longer."""

    def __init__(self) -> None:
        super().__init__(headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})


class ScopeMissing(Forbidden):
    """This token isn't allowed to do this: it needs the scope {scope}."""

    def __init__(self, scope: str) -> None:
        challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
        super().__init__(headers={"WWW-Authenticate": challenge}, scope=scope)


class ApplicationRefused(Forbidden):
    """An application can't do this, whatever it was allowed. Use a session or an API key."""


class SessionNeeded(Forbidden):
    """Sign in with your password to do this; a key or a token can't."""


class CredentialNeeded(Forbidden):
    """An access token is given for a session or an API key, not for another access token."""


class CrossSiteRefused(Forbidden):
    """This request seems to come from another site's page. Send it from here, or with an API key, not a cookie."""


class TooManyKeys(Conflict):
    """An account has at most {limit} API keys. Revoke one first."""


class PasswordsBusy(TenfoldError):
    """Too many people are signing in at this moment. Try again in a few seconds."""

    status = 503

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "5"})
