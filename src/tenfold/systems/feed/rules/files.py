"""What kind of file something is, told by how it begins: never by what its sender calls it."""

import msgspec

from tenfold.systems.feed.types import MediaType

#: Bytes that are enough to tell.
HEAD = 64


class Kind(msgspec.Struct, frozen=True):
    type: MediaType
    extension: str


_PICTURE = Kind("image", "")
_MP4, _M4A = Kind("video", "mp4"), Kind("audio", "m4a")
#: Major brands of the ISO base media file format, without spaces. Who records with a telephone sends the first of them.
_BRANDS = {
    **dict.fromkeys((b"qt",), Kind("video", "mov")),
    **dict.fromkeys((b"isom", b"avc1", b"mp41", b"mp42", b"M4V", b"M4VH", b"M4VP", b"MSNV", b"dash"), _MP4),
    **{b"iso%d" % number: _MP4 for number in range(2, 10)},
    **dict.fromkeys((b"M4A", b"M4B"), _M4A),
    **dict.fromkeys((b"avif", b"avis"), _PICTURE),
}


def sniff(head: bytes) -> Kind | None:
    """The kind of a file that begins so; pictures have no extension yet. None: nothing that is taken."""
    if head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")):
        return _PICTURE
    if head[:4] == b"RIFF":
        return {b"WEBP": _PICTURE, b"WAVE": Kind("audio", "wav")}.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12].rstrip(b" \0"))
    if head[:4] == b"\x1aE\xdf\xa3":  # EBML; its DocType tells WebM from other Matroska
        return Kind("video", "webm") if b"\x42\x82\x84webm" in head[:HEAD] else None
    if head[:4] == b"OggS":
        return None if b"\x80theora" in head[:HEAD] else Kind("audio", "ogg")
    if head[:4] == b"fLaC":
        return Kind("audio", "flac")
    # An MP3 begins with its tags, or with a frame: eleven bits set, a version that exists, layer III, a sane rate.
    if head[:3] == b"ID3" or (
        len(head) > 2
        and head[0] == 0xFF
        and head[1] & 0xE6 == 0xE2
        and head[1] & 0x18 != 0x08
        and head[2] & 0xF0 != 0xF0
        and head[2] & 0x0C != 0x0C
    ):
        return Kind("audio", "mp3")
    return None
