"""What can be wrong with a link."""

from tenfold.platform import errors


class LinkNotFound(errors.NotFound):
    """There is no link with the code {code}."""


class AliasTaken(errors.Conflict):
    """The alias {alias} already leads somewhere."""


class BadLink(errors.Invalid):
    """This can't become a link: {reason}."""


class LinkGone(errors.Gone):
    """The link {code} leads nowhere any more: it is {state}."""


class WrongPassword(errors.Forbidden):
    """That isn't the password of this link."""


class NotYours(errors.Forbidden):
    """Only the owner of a link can do this. Sign in to own the links you make."""
