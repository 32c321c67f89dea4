"""The words of reading: what a document says, and the pieces it is cut into."""

from typing import Literal

import msgspec

type BlockKind = Literal["heading", "paragraph", "list", "table", "code"]


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a document as its author made it."""

    kind: BlockKind
    #: Characters of Extract.text at which it begins and ends.
    start: int
    end: int
    #: Of a heading: 1 is the outermost.
    level: int = 0
    #: Counts from 1.
    page: int | None = None


class Extract(msgspec.Struct, frozen=True, kw_only=True):
    """What a document says."""

    title: str
    #: pdf, html, markdown, docx, text, csv.
    kind: str
    text: str
    blocks: list[Block]
    #: 0 where a document has none.
    pages: int = 0


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a document that is indexed and cited as one."""

    text: str
    #: Above it, the outermost first.
    headings: list[str]
    #: Characters of Extract.text.
    start: int
    end: int
    page: int | None
    tokens: int
    #: Whether it sums up the section below it, in sentences of its own.
    summary: bool = False
