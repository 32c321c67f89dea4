"""What can be wrong with answers."""

from tenfold.platform import errors


class CollectionNotFound(errors.NotFound):
    """There is no such collection."""


class UnreadableDocument(errors.Invalid):
    """This document can't be read: {reason}."""


class DocumentTooLong(errors.Invalid):
    """This document has more than {most} characters. Divide it."""


class ArchiveRefused(errors.Invalid):
    """This archive isn't taken: {reason}."""
