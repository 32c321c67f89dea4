"""What kind of file something is: told by its first bytes, and only among texts by its name."""

import codecs
from typing import Final, Literal

type Kind = Literal["text", "html", "pdf", "word", "image", "archive", "binary"]

_IMAGES: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\x00", b"MM\x00*")
_ARCHIVES: Final = (
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"\x1f\x8b",
    b"BZh",
    b"7z\xbc\xaf",
    b"\xfd7zXZ",
    b"Rar!",
    b"(\xb5/\xfd",
)
_MARKS: Final = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
#: Control characters that texts have: bell to carriage return, and escape.
_USUAL: Final = frozenset({*range(7, 14), 27})
#: Bytes that are looked at.
LOOKED_AT: Final = 8192


def kind_of(data: bytes, name: str, media_type: str = "") -> Kind:
    """Bytes decide, since a name can say anything. An archive may still be a document of Word."""
    head = data[:LOOKED_AT]
    if head.startswith(_IMAGES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return "image" if not head.startswith(b"BM") or _is_bitmap(head) else "text"
    if head[4:12] in {b"ftypavif", b"ftypavis"}:
        return "image"
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if head.startswith(_ARCHIVES):
        extension = name.lower().rpartition(".")[2]
        return "word" if extension in {"docx", "docm", "dotx"} or "wordprocessing" in media_type else "archive"
    if not _is_text(head):
        return "binary"
    if name.lower().endswith((".html", ".htm", ".xhtml")) or media_type.startswith(("text/html", "application/xhtml")):
        return "html"
    return "text"


def _is_bitmap(head: bytes) -> bool:
    """Two letters are little to go by; a bitmap's header has zeros where a text has none."""
    return head[6:10] == bytes(4)


def _is_text(head: bytes) -> bool:
    if head.startswith(_MARKS):
        return True
    if not head.count(0):
        return sum(byte < 32 and byte not in _USUAL for byte in head) * 50 <= len(head)
    # UTF-16 without a mark: every second byte of Western text is zero, and nothing else.
    return any(
        2 * head[place::2].count(0) > len(head[place::2]) and not head[1 - place :: 2].count(0) for place in (0, 1)
    )
