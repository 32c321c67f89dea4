"""What can be wrong with answers."""

from tenfold.platform import errors


class CollectionNotFound(errors.NotFound):
    """There is no such collection."""
