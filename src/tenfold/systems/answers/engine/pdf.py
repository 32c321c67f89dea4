"""PDF: lines with their places and letters, put together as headings, paragraphs, lists and code."""

import ctypes
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from tenfold.systems.answers.engine.blocks import Blocks, one_line, tidy
from tenfold.systems.answers.errors import UnreadableDocument

#: How much larger than most letters those of a heading are, and how heavy bold ones are.
LARGER, BOLD = 1.12, 600
#: Characters and words of a heading, at most.
HEADING, WORDS = 150, 20
#: Lines at the top and bottom of a page that may be said on all of them, on what share of pages, and on how many.
EDGE, REPEATED, OFTEN = 2, 0.4, 3
#: Heights of a line between two, from which on a paragraph ends.
APART: Final = 1.7
#: What a letter of fixed width takes of its height.
FIXED: Final = 0.6

_NUMBERS: Final = re.compile(r"\d+|\b[ivxlc]+\b")
_ITEM: Final = re.compile(r"(?:[-\u2022\u25cf\u25e6\u2023\u25aa*]|\d{1,3}[.)]|\([a-z]\)) ?\S")
#: An entry of a table of contents: dots that lead to the number of a page.
_ENTRY: Final = re.compile(r"(?:\. ?){5}\s*(?:\d+|[ivxlc]+)$")
_ENDS: Final = re.compile(r"[.!?:;][\"')\]\u201d]*$")
#: Up to a line's end, or to where PDFium says that a word was divided there.
_LINE: Final = re.compile(r"[^\s\ufffe][^\r\n\ufffe]*\ufffe?")
#: A word that was divided at the end of a line.
_DIVIDED: Final = re.compile(r"(?<=[^\W\d_])[-\u00ad\u2010\ufffe\x02]$")


@dataclass(slots=True)
class Line:
    page: int
    text: str
    size: float
    bold: bool
    fixed: bool
    left: float
    top: float
    bottom: float


def read_pdf(data: bytes, blocks: Blocks, most_pages: int) -> tuple[str, int]:
    """Add what a PDF says. Its title and how many pages it has. Raises UnreadableDocument, DocumentTooLong."""
    try:
        document = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        raise UnreadableDocument(reason="it is encrypted" if "assword" in str(error) else "it is broken") from error
    pages = len(document)
    if pages > most_pages:
        raise UnreadableDocument(reason=f"it has {pages} pages, and at most {most_pages} are taken")
    lines: list[Line] = []
    for number in range(pages):
        try:
            # A table of contents says nothing that its headings don't say, and every question finds words in it.
            lines += [line for line in _lines(document[number], number + 1) if not _ENTRY.search(line.text)]
        except pdfium.PdfiumError:
            continue  # a broken page among others
    if not lines:
        raise UnreadableDocument(reason="it has no text, only pictures of it: have it recognised first (OCR)")
    _Writer(blocks, without_edges(lines, pages), _outline(document)).write()
    return one_line(document.get_metadata_value("Title")), pages


def _lines(page: Any, number: int) -> Iterator[Line]:
    text_page = page.get_textpage()
    whole, letters = text_page.get_text_range(errors="replace"), text_page.count_chars()
    for found in _LINE.finditer(whole):
        # PDFium counts in UTF-16.
        first = found.start() if whole.isascii() else len(whole[: found.start()].encode("utf-16-le", "replace")) // 2
        shown = found[0].strip()
        if not shown or first >= letters:
            continue
        left, bottom, _, top = text_page.get_charbox(first, loose=True)
        # A line is what its first, middle and last letters are: one of them may be a word that is set apart. A space
        # may be PDFium's own, and of no font.
        middle = next(at for at in range(len(shown) // 2, -1, -1) if not shown[at].isspace())
        fonts = [_font(text_page, min(first + at, letters - 1)) for at in (0, middle, len(shown.rstrip("\ufffe")) - 1)]
        size = fonts[1][0]
        # Fonts may be of size 1 and scaled: then the box says how large they are.
        size = size if size > 2 else top - bottom
        bold, fixed = (all(each[what] for each in fonts) for what in (1, 2))
        yield Line(number, shown, round(size, 1), bold, fixed, left, top, bottom)


def _font(text_page: Any, at: int) -> tuple[float, bool, bool]:
    """The size of a letter, whether it is bold, and whether all letters of its font are of one width."""
    flags = ctypes.c_int(0)
    raw.FPDFText_GetFontInfo(text_page, at, None, 0, ctypes.byref(flags))
    bold = raw.FPDFText_GetFontWeight(text_page, at) >= BOLD or bool(flags.value & (1 << 18))
    return raw.FPDFText_GetFontSize(text_page, at), bold, bool(flags.value & 1)


def without_edges(lines: Sequence[Line], pages: int) -> list[Line]:
    """The lines without headers and footers.

    Those are lines at an edge that many pages have, but for their numbers; and small ones that pages in a row have at
    the same height to the letter: the name of a chapter is said on the pages of that chapter only.
    """
    if pages < OFTEN:
        return list(lines)
    of_page: dict[int, list[int]] = {}
    for index, line in enumerate(lines):
        of_page.setdefault(line.page, []).append(index)
    edges: set[int] = set()
    for indexes in of_page.values():
        ordered = sorted(indexes, key=lambda index: -lines[index].top)
        edges.update(ordered[:EDGE], ordered[-EDGE:])
    said: dict[str | tuple[str, int], set[int]] = {}
    for line in (lines[index] for index in edges):
        for key in (_numberless(line.text), (line.text, round(line.top))):
            said.setdefault(key, set()).add(line.page)
    small = LARGER * _body(lines)

    def is_around(line: Line) -> bool:
        if len(said[_numberless(line.text)]) >= max(OFTEN, REPEATED * pages):
            return True
        return line.size < small and _in_a_row(said[line.text, round(line.top)], line.page)

    return [line for index, line in enumerate(lines) if index not in edges or not is_around(line)]


def _in_a_row(pages: set[int], page: int) -> bool:
    """Whether a page is among OFTEN that follow each other, or that do on their side: left and right may differ."""
    return any(
        all(first + step * more in pages for more in range(OFTEN))
        for step in (1, 2)
        for first in range(page - step * (OFTEN - 1), page + 1, step)
    )


def _body(lines: Sequence[Line]) -> float:
    """The size of most letters."""
    weight: Counter[float] = Counter()
    for line in lines:
        weight[line.size] += len(line.text)
    return weight.most_common(1)[0][0] if weight else 0.0


def _numberless(text: str) -> str:
    return _NUMBERS.sub("#", text.lower()).strip()


def _outline(document: Any) -> dict[tuple[int, str], int]:
    """Levels of the headings that the document's outline has, by page and words."""
    found: dict[tuple[int, str], int] = {}
    for entry in document.get_toc(max_depth=6):
        target = entry.get_dest()
        page = target.get_index() if target is not None else None
        if page is not None:
            found.setdefault((page + 1, _key(entry.get_title())), entry.level + 1)
    return found


def _key(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).lower()


class _Writer:
    """Puts lines together."""

    def __init__(self, blocks: Blocks, lines: Sequence[Line], outline: dict[tuple[int, str], int]) -> None:
        self._blocks = blocks
        self._lines = lines
        self._outline = outline
        self._body = _body(lines)
        larger = sorted({line.size for line in lines if self._is_large(line)}, reverse=True)
        self._levels = {size: min(index + 1, 6) for index, size in enumerate(larger)}

    def _is_large(self, line: Line) -> bool:
        return line.size >= LARGER * self._body and self._could_head(line)

    @staticmethod
    def _could_head(line: Line) -> bool:
        return len(line.text) <= HEADING and any(each.isalpha() for each in line.text) and not line.fixed

    def _level(self, line: Line) -> int:
        """Of a heading; 0 is none."""
        named = self._outline.get((line.page, _key(line.text)))
        if named is not None:
            return min(named, 6)
        if self._is_large(line):
            return self._levels[line.size]
        alone = line.bold and len(line.text.split()) <= WORDS and not _ENDS.search(line.text)
        return min(len(self._levels) + 1, 6) if alone and self._could_head(line) else 0

    def write(self) -> None:
        held: list[Line] = []
        kind = ""
        for line in self._lines:
            level = self._level(line)
            now = f"heading{level}" if level else "code" if line.fixed else "text"
            last = held[-1] if held else None
            if last is not None and (now != kind or (now == "text" and self._begins(last, line))):
                self._flush(kind, held)
                held = []
            kind = now
            held.append(line)
        self._flush(kind, held)

    def _begins(self, last: Line, line: Line) -> bool:
        """Whether a line begins another paragraph than the last one's."""
        if _ITEM.match(line.text):
            return True
        if line.page != last.page or line.top > last.top:  # another page, or the next column
            return bool(_ENDS.search(last.text))
        height = max(last.top - last.bottom, 1.0)
        return last.top - line.top > APART * height

    def _flush(self, kind: str, lines: list[Line]) -> None:
        if not lines:
            return
        page = lines[0].page
        if kind == "code":
            left = min(line.left for line in lines)
            text = "\n".join(" " * round((line.left - left) / max(FIXED * line.size, 1)) + line.text for line in lines)
            self._blocks.add("code", text, page=page)
        elif kind.startswith("heading"):
            self._blocks.add("heading", one_line(joined(line.text for line in lines)), level=int(kind[7:]), page=page)
        else:
            text = joined(line.text for line in lines)
            self._blocks.add("list" if _ITEM.match(text) else "paragraph", text, page=page)


def joined(lines: Iterator[str]) -> str:
    """Lines as one, words that were divided at their ends made whole."""
    text = ""
    for line in lines:
        divided = _DIVIDED.search(text) and line[:1].islower()
        text = text[:-1] + line if divided else f"{text} {line}"
    return tidy(text)
