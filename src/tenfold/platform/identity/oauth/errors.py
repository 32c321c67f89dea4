"""How OAuth says no: the class names are the error codes of RFC 6749 (4.1.2.1 and 5.2)."""

from tenfold.platform.errors import TenfoldError


class OAuthError(TenfoldError):
    """{reason}"""

    status = 400

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason=reason)


class InvalidRequest(OAuthError):
    """{reason}"""


class InvalidClient(OAuthError):
    """No application has this client_id and client_secret."""

    status = 401

    def __init__(self) -> None:
        super().__init__()
        self.headers["WWW-Authenticate"] = 'Basic realm="oauth"'


class InvalidGrant(OAuthError):
    """{reason}"""


class InvalidScope(OAuthError):
    """The scope {reason} can't be granted to this application."""


class UnauthorizedClient(OAuthError):
    """{reason}"""


class UnsupportedGrantType(OAuthError):
    """Use one of the grant types {reason}."""


class UnsupportedResponseType(OAuthError):
    """The only response_type is code."""


class AccessDenied(OAuthError):
    """Access was denied."""
