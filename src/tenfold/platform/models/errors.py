"""What can go wrong between a model and this machine."""

from tenfold.platform.errors import NotFound, TenfoldError


class NoSuchModel(NotFound):
    """There is no model {model}; there are {known}."""


class ModelUnavailable(TenfoldError):
    """{model} can't be fetched. {reasons}"""

    status = 503


class ModelCorrupt(TenfoldError):
    """{file} from {source} isn't what it should be: {found} instead of {expected}."""

    status = 502


class NoRoom(TenfoldError):
    """{model} needs {needed} MB more in {directory}, where {free} MB are free."""

    status = 507


class SourceFailed(TenfoldError):
    """{reason}"""
