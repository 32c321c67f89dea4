"""The words of messages inside the server: ids are numbers here, and what is sealed is bytes of JSON already."""

from collections.abc import Mapping

import msgspec


class Delivery(msgspec.Struct, frozen=True, tag="m", array_like=True):
    """A message on its way to all devices of one account."""

    conversation_id: int
    seq: int
    #: The sending device, which gets none.
    device_id: int
    #: The frame without an envelope, as JSON.
    frame: bytes
    #: By device, its envelope as JSON.
    envelopes: Mapping[int, bytes]

    def frame_for(self, device_id: int) -> bytes:
        """The frame of one device."""
        envelope = self.envelopes.get(device_id)
        return self.frame if envelope is None else b'%s,"envelope":%s}' % (self.frame[:-1], envelope)


class Noted(msgspec.Struct, frozen=True, tag="n", array_like=True):
    """Notes on their way to devices of one account."""

    #: By device, the note's id and its frame.
    notes: Mapping[int, tuple[int, bytes]]


class Told(msgspec.Struct, frozen=True, tag="t", array_like=True):
    """A frame for all devices of one account that are connected now. It says nothing that can't be read otherwise."""

    frame: bytes
    #: The device that knows already, or 0.
    but: int = 0


class Ended(msgspec.Struct, frozen=True, tag="e", array_like=True):
    """A connection of a device is to end, except that which says so itself."""

    device_id: int
    code: int
    #: The connection that took its place, or "".
    by: str = ""


type Word = Delivery | Noted | Told | Ended
