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


class BadSignature(errors.Invalid):
    """This isn't signed by the device's signing key."""


class DevicesFull(errors.Conflict):
    """You have {most} devices already, which is as many as an account may have. End one first."""


class NotAdmin(errors.Forbidden):
    """Only admins of the group may do this."""


class DirectIsForTwo(errors.Conflict):
    """A conversation of two stays one of two."""


class LastAdmin(errors.Conflict):
    """A group needs an admin. Make somebody else one first."""


class MemberNotFound(errors.NotFound):
    """There is no such member."""


class GroupFull(errors.Conflict):
    """A group has at most {most} members."""


class TooManyConversations(errors.Conflict):
    """Somebody of these is in {most} conversations already, which is as many as there may be."""


class InviteNotFound(errors.NotFound):
    """This invitation doesn't hold good, or no longer."""


class TooManyBlocked(errors.Conflict):
    """At most {most} people can be blocked."""


class UploadNotFound(errors.NotFound):
    """There is no such file, or no longer."""


class UploadTooLarge(errors.Invalid):
    """A file has at most {most} bytes."""


class UploadFinished(errors.Conflict):
    """This file is finished, and stays as it is."""


class UploadIncomplete(errors.Conflict):
    """{missing} parts of the file are missing."""


class StorageFull(errors.Conflict):
    """What you have uploaded fills your {most} bytes. Files go by themselves after a while."""


class PartMismatch(errors.Invalid):
    """This part has {size} bytes, and must have {expected}."""


class PartNotFound(errors.NotFound):
    """There is no such part."""


class BackupNotFound(errors.NotFound):
    """There is no backup."""


class BackupOutdated(errors.Conflict):
    """The backup is at version {version} now."""


class BackupFull(errors.Conflict):
    """A backup has at most {most} bytes."""


class PushOff(errors.Conflict):
    """This server sends no push messages."""


class PushServiceUnknown(errors.Invalid):
    """Push messages aren't sent to {host}."""
