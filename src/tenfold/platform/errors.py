"""The tree of errors. A class carries its HTTP status and stable code; its docstring is the message a person reads."""

import re
from collections.abc import Mapping
from typing import ClassVar, Self

import msgspec

_NAMED = re.compile(r"Object (missing required|contains unknown) field `(.+)`")
_WORD = re.compile(r"(?<!^)(?=[A-Z])")


#: What the decoder says, and what a person understands.
_PLAIN = (
    (r"Expected `str` of length >= (\d+)", r"needs at least \1 characters"),
    (r"Expected `str` of length <= (\d+)", r"has at most \1 characters"),
    (r"Expected `array` of length >= (\d+)", r"needs at least \1 entries"),
    (r"Expected `array` of length <= (\d+)", r"has at most \1 entries"),
    (r"Expected `(?:int|float)[^`]*` >= (\S+)", r"is at least \1"),
    (r"Expected `(?:int|float)[^`]*` <= (\S+)", r"is at most \1"),
    (r"Expected `str` matching regex .*", "has characters that can't stand here"),
    (r"Expected `int[^`]*`, got .*", "is a whole number"),
    (r"Expected `bool[^`]*`, got .*", "is true or false"),
    (r"Expected `str[^`]*`, got .*", "is text"),
    (r"Invalid enum value (.*)", r"can't be \1"),
    (r"Invalid RFC3339 encoded datetime", "is a date and time like 2030-01-31T12:00:00Z"),
)


def _in_plain_words(text: str) -> str:
    for pattern, words in _PLAIN:
        plain, found = re.subn(f"^{pattern}$", words, text)
        if found:
            return plain
    return text


class TenfoldError(Exception):
    """Something went wrong on our side. Try again in a moment."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "tenfold_error"

    def __init_subclass__(cls) -> None:
        cls.code = _WORD.sub("_", cls.__name__).lower()

    def __init__(
        self,
        *,
        fields: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **values: object,
    ) -> None:
        self.values = values
        self.fields = dict(fields or {})
        self.headers = dict(headers or {})
        super().__init__((type(self).__doc__ or "").strip().format(**values))

    @property
    def title(self) -> str:
        """The same for every error of this class, as RFC 9457 asks."""
        return self.code.replace("_", " ").capitalize()

    @property
    def detail(self) -> str:
        return str(self)


class BadRequest(TenfoldError):
    """The request can't be read: {reason}."""

    status = 400


class Unauthorized(TenfoldError):
    """Sign in first, or send an API key."""

    status = 401


class Forbidden(TenfoldError):
    """This isn't yours to change."""

    status = 403


class NotFound(TenfoldError):
    """There is nothing here."""

    status = 404


class Conflict(TenfoldError):
    """Somebody else was first."""

    status = 409


class Gone(TenfoldError):
    """This existed once and is no more."""

    status = 410


class PayloadTooLarge(TenfoldError):
    """At most {limit} bytes are taken here."""

    status = 413


class Invalid(TenfoldError):
    """Some fields can't be accepted."""

    status = 422

    @classmethod
    def of(cls, error: msgspec.ValidationError) -> Self:
        """Name the field that a validation error speaks of, as it stands in the body; "body" is all of it."""
        text, _, path = str(error).partition(" - at `$")
        field = path.rstrip("`").removeprefix(".")
        if named := _NAMED.fullmatch(text):
            text = "is required" if named[1] == "missing required" else "isn't known here"
            field = f"{field}.{named[2]}".removeprefix(".")
        return cls(fields={field or "body": _in_plain_words(text)})


class TooManyRequests(TenfoldError):
    """That was too much at once. Try again in {retry_after} seconds."""

    status = 429

    def __init__(self, *, retry_after: int, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(headers={"Retry-After": str(retry_after), **(headers or {})}, retry_after=retry_after)


class Unavailable(TenfoldError):
    """{part} can't be reached right now. Try again in a moment."""

    status = 503

    def __init__(self, *, part: str) -> None:
        super().__init__(headers={"Retry-After": "2"}, part=part)
