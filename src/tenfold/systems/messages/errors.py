"""What can be wrong with messages."""

from tenfold.platform import errors


class ConversationNotFound(errors.NotFound):
    """There is no such conversation."""


class DeviceNotFound(errors.NotFound):
    """There is no such device."""


class PersonNotFound(errors.NotFound):
    """There is nobody of this name or number."""


class StaleMembers(errors.Conflict):
    """The members or their devices have changed."""


class ContentMissing(errors.Invalid):
    """A group's message needs content for all."""


class ContentTooLarge(errors.Invalid):
    """What is sealed has {size} bytes; at most {most} are carried."""


class TooManyEnvelopes(errors.Invalid):
    """There are {count} envelopes; at most {most} are carried."""


class ForeignDevice(errors.Invalid):
    """The device {device} isn't one of this conversation's members."""


class AckAhead(errors.Invalid):
    """More is acknowledged than was sent to this device."""


class ReadAhead(errors.Invalid):
    """More is read than there is."""


class IdTaken(errors.Conflict):
    """This id was used for something else."""


class BadFrame(errors.Invalid):
    """This frame can't be read: {reason}"""


class FrameTooLarge(errors.Invalid):
    """A frame has {size} bytes; at most {most} are read."""
