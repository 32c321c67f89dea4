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


class DocumentNotFound(errors.NotFound):
    """There is no such document."""


class VersionNotFound(errors.NotFound):
    """There is no such version, or its bytes aren't kept any more."""


class DocumentEmpty(errors.Invalid):
    """There is nothing in {name}."""


class SentTooSlowly(errors.TenfoldError):
    """This wasn't there after {seconds} seconds. Send less at once."""

    status = 408


class AnswerFailed(errors.Unavailable):
    """There is no answer: {part}"""


class CollectionFull(errors.Conflict):
    """A collection takes at most {most} documents."""


class TooManyCollections(errors.Conflict):
    """You may have at most {most} collections."""


class LibraryFull(errors.Conflict):
    """Your documents may take {most} MB together. Delete some."""


class FetchRefused(errors.Invalid):
    """This address can't be fetched: {reason}."""


class ConversationNotFound(errors.NotFound):
    """There is no such conversation."""


class AnswerNotFound(errors.NotFound):
    """There is no such answer."""
