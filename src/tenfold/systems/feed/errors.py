"""What can be wrong with the feed."""

from tenfold.platform import errors


class PostNotFound(errors.NotFound):
    """Record not found: there is no such post, or it is not for you."""


class AccountNotFound(errors.NotFound):
    """Record not found: there is no such account."""


class ListNotFound(errors.NotFound):
    """Record not found: there is no such list."""


class MediaNotFound(errors.NotFound):
    """Record not found: there is no such attachment, or it belongs to somebody else."""


class BadPost(errors.Invalid):
    """Validation failed: {reason}."""


class BadMedia(errors.Invalid):
    """Validation failed: {reason}."""


class NotAllowed(errors.Forbidden):
    """This action is not allowed: {reason}."""


class TooManyFollows(errors.Invalid):
    """Validation failed: one can follow {limit} accounts."""


class NameInUse(errors.Conflict):
    """The name {name} belongs to another account."""
