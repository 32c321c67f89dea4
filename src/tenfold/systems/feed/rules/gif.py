"""GIF animations freed of comments and application data, frame by frame as they are (GIF89a specification)."""

import msgspec

#: Application extensions that say how often an animation runs. All others are dropped: some hold whole descriptions.
_LOOPS = (b"NETSCAPE2.0", b"ANIMEXTS1.0")


class Stripped(msgspec.Struct, frozen=True):
    data: bytes
    frames: int


def strip(data: bytes) -> Stripped:
    """The file without what isn't shown, and how many frames it has. Raises ValueError for what is no whole GIF."""
    if data[:6] not in (b"GIF87a", b"GIF89a") or len(data) < 13:
        raise ValueError("no GIF")
    at = 13 + _table(data[10])
    kept, frames = [data[:at]], 0
    while True:
        kind, start = data[at : at + 1], at
        if kind == b"\x3b":
            return Stripped(b"".join([*kept, kind]), frames)
        if kind == b"\x2c":
            if len(data) < at + 10:
                raise ValueError("an image is cut off")
            # Its descriptor, its table of colours, the code size, the data.
            at = _behind(data, at + 11 + _table(data[at + 9]))
            frames += 1
        elif kind == b"\x21":
            label = data[at + 1 : at + 2]
            at = _behind(data, at + 2)
            if label != b"\xf9" and not (label == b"\xff" and data[start + 3 : start + 14] in _LOOPS):
                continue
        else:
            raise ValueError("no block of a GIF")
        kept.append(data[start:at])


def _table(flags: int) -> int:
    """Bytes of the table of colours that follows."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _behind(data: bytes, at: int) -> int:
    """Where a row of sub-blocks ends, each with its length before it, the last one empty."""
    while True:
        if at >= len(data):
            raise ValueError("a block is cut off")
        size = data[at]
        at += 1 + size
        if size == 0:
            return at
