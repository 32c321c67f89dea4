"""What can be wrong with answers."""

from tenfold.platform import errors


class CollectionNotFound(errors.NotFound):
    """There is no such collection."""


class NoSuchVariant(errors.Invalid):
    """There is no such variant; there are {known}."""


class ExperimentNotFound(errors.NotFound):
    """There is no such experiment."""


class ExperimentRunning(errors.Conflict):
    """Another experiment runs on this collection. End it first."""


class UnreadableDocument(errors.Invalid):
    """This document can't be read: {reason}."""


class DocumentTooLong(errors.Invalid):
    """This document has more than {most} characters. Divide it."""


class ArchiveRefused(errors.Invalid):
    """This archive isn't taken: {reason}."""
