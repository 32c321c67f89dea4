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
