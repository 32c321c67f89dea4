"""Puts a document together from its parts, whatever it was before."""

import re
import unicodedata
from typing import Final

from tenfold.systems.answers.errors import DocumentTooLong, UnreadableDocument
from tenfold.systems.answers.types.reading import Block, BlockKind, Extract

_SPACES: Final = re.compile(r"[ \t\f\v\u00a0]+")
_INVISIBLE: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u00ad\u200b\ufeff]")
#: What stands between two blocks.
GAP: Final = "\n\n"


class Blocks:
    """A document as it grows: blocks in their order, each a slice of one text."""

    def __init__(self, most: int) -> None:
        """At most `most` characters."""
        self._most = most
        self._parts: list[str] = []
        self._blocks: list[Block] = []
        self._size = 0

    def __len__(self) -> int:
        return len(self._blocks)

    def add(self, kind: BlockKind, text: str, *, level: int = 0, page: int | None = None) -> None:
        """Add a block, unless there is nothing in it. Raises DocumentTooLong."""
        if not text or text.isspace():
            return
        text = clean(text) if kind == "code" else tidy(text)
        if not text:
            return
        start = self._size + (len(GAP) if self._blocks else 0)
        self._size = start + len(text)
        if self._size > self._most:
            raise DocumentTooLong(most=self._most)
        if self._blocks:
            self._parts.append(GAP)
        self._parts.append(text)
        self._blocks.append(Block(kind=kind, start=start, end=self._size, level=level, page=page))

    def extract(self, kind: str, title: str = "", pages: int = 0) -> Extract:
        """The document. Its title is its first heading if it has none. Raises UnreadableDocument: it is empty."""
        if not self._blocks:
            raise UnreadableDocument(reason="there is no text in it")
        text = "".join(self._parts)
        first = next((each for each in self._blocks if each.kind == "heading"), None)
        named = one_line(title) or (one_line(text[first.start : first.end]) if first else "")
        return Extract(title=named[:300], kind=kind, text=text, blocks=self._blocks, pages=pages)


def clean(text: str) -> str:
    """Text without what can't be seen, its line ends made one kind; the shape of its lines stays."""
    text = _INVISIBLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return "\n".join(line.rstrip() for line in text.split("\n")).strip("\n")


def tidy(text: str) -> str:
    """Text as prose: letters in their usual forms (NFC, ligatures apart), one space between words, no empty lines."""
    text = unicodedata.normalize("NFC", clean(text)).translate(_LIGATURES)
    lines = [_SPACES.sub(" ", line).strip() for line in text.split("\n")]
    return "\n".join(line for line in lines if line)


def one_line(text: str) -> str:
    return " ".join(tidy(text).split())


_LIGATURES: Final = str.maketrans(
    {"\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl", "\ufb05": "st", "\ufb06": "st"}
)


def row(cells: list[str]) -> str:
    """A row of a table, as Markdown has it."""
    return "| " + " | ".join(one_line(cell).replace("|", "\\|") for cell in cells) + " |"
