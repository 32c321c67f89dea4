"""Cuts a document into pieces that are searched and cited: within sections, between sentences, of about one size.

Pure, and local: the pieces of a section depend on nothing but that section and its headings, so that a change in one
leaves the others, and all that was reckoned of them, as they were.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from math import log
from typing import Final

from tenfold.systems.answers.types.reading import Block, Extract, Piece

type Count = Callable[[str], int]

#: Pieces of a section from which on it is summed up, and sentences and tokens that do.
LONG, SENTENCES, SUMMARY = 3, 4, 128
#: Sentences of a section among which those are chosen.
CHOSEN: Final = 200

_SENTENCE: Final = re.compile(
    r"(?<=[.!?\u3002\uff01\uff1f])[\"')\]\u201d\u2019]*\s+(?=[\"'(\[\u201c\u2018]?[A-Z0-9\u00c0-\u024f\u0370-\u1fff\u3040-\u9fff])"
)
_WORD: Final = re.compile(r"\w+")
#: What ends no sentence.
_SHORT: Final = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|Mr|Mrs|Ms|Dr|Prof|No|Fig|Sec|ca|approx|St|Jr|Inc|Ltd)|\b[A-Z])\.$"
)


def split(extract: Extract, count: Count, size: int = 512, overlap: int = 50) -> list[Piece]:
    """The pieces of a document in its order, each section's summary before them. `count` gives the tokens of a text.

    A piece is a slice of the text and has at most `size` tokens, unless a single word has more; neighbours in a section
    share whole sentences (lines, rows) of at most `overlap` tokens. What begins within a table begins with its header.
    """
    pieces: list[Piece] = []
    for headings, blocks in sections(extract):
        own = list(_cut(extract, headings, blocks, count, size, overlap))
        if len(own) >= LONG and (summary := _sum_up(extract, headings, blocks, count)) is not None:
            pieces.append(summary)
        pieces += own
    return pieces


def sections(extract: Extract) -> Iterator[tuple[list[str], list[Block]]]:
    """Headings above, the outermost first, with the blocks below them. Of sections that say something."""
    path: list[tuple[int, str]] = []
    held: list[Block] = []
    for block in extract.blocks:
        if block.kind != "heading":
            held.append(block)
            continue
        if held:
            yield [name for _, name in path], held
            held = []
        path = [each for each in path if each[0] < block.level]
        path.append((block.level, " ".join(extract.text[block.start : block.end].split())))
    if held:
        yield [name for _, name in path], held
    elif path and not any(block.kind != "heading" for block in extract.blocks):
        # A document of headings only, such as slides: they are what it says.
        yield [], list(extract.blocks)


class _Unit:
    """What isn't cut: a sentence, a line, a row."""

    __slots__ = ("end", "header", "page", "start", "tokens")

    def __init__(self, start: int, end: int, tokens: int, page: int | None, header: str = "") -> None:
        self.start, self.end, self.tokens, self.page = start, end, tokens, page
        #: What must stand above it to be understood: the first row of its table.
        self.header = header


def _cut(
    extract: Extract, headings: list[str], blocks: Sequence[Block], count: Count, size: int, overlap: int
) -> Iterator[Piece]:
    units = [unit for block in blocks for unit in _units(extract.text, block, count, size)]
    first = 0
    while first < len(units):
        last, tokens = first, _heads(units[first], count)
        while last < len(units) and (last == first or tokens + units[last].tokens <= size):
            tokens += units[last].tokens
            last += 1
        yield _piece(extract, headings, units[first:last], tokens)
        if last == len(units):
            return
        # What the next one repeats: whole units from the end, and never so many that it would get nowhere.
        again, shared = last, 0
        while again - 1 > first:
            before = units[again - 1]
            shared += before.tokens
            if shared > overlap or shared + _heads(before, count) + units[last].tokens > size:
                break
            again -= 1
        first = again


def _heads(unit: _Unit, count: Count) -> int:
    return count(unit.header) if unit.header else 0


def _piece(extract: Extract, headings: list[str], units: Sequence[_Unit], tokens: int) -> Piece:
    start, end = units[0].start, units[-1].end
    text = extract.text[start:end]
    if units[0].header:
        text = f"{units[0].header}\n{text}"
    return Piece(text=text, headings=headings, start=start, end=end, page=units[0].page, tokens=max(tokens, 1))


def _units(text: str, block: Block, count: Count, size: int) -> Iterator[_Unit]:
    header = ""
    spans = list(_spans(text, block))
    for number, (start, end) in enumerate(spans):
        if block.kind == "table" and number == 1:
            header = text[spans[0][0] : spans[0][1]]
        room = size - (count(header) if header else 0)
        if room < size // 2:
            header, room = "", size  # a header that would leave no room for what it heads
        tokens = count(text[start:end])
        if tokens <= room:
            yield _Unit(start, end, tokens, block.page, header)
        else:
            for a, b in _words(text, start, end, count, room):
                yield _Unit(a, b, count(text[a:b]), block.page, header)


def _spans(text: str, block: Block) -> Iterator[tuple[int, int]]:
    """Where a block may be cut: code at its empty lines, lists and tables at lines, prose between sentences."""
    if block.kind == "code":
        cuts = [found.end() for found in re.finditer(r"\n[ \t]*\n+", text[block.start : block.end])]
    elif block.kind == "paragraph":
        cuts = list(_sentence_ends(text[block.start : block.end]))
    else:
        cuts = [found.end() for found in re.finditer(r"\n", text[block.start : block.end])]
    for start, end in pairwise([0, *cuts, block.end - block.start]):
        yield block.start + start, block.start + end


def _sentence_ends(text: str) -> Iterator[int]:
    for found in _SENTENCE.finditer(text):
        if not _SHORT.search(text[max(0, found.start() - 12) : found.start()]):
            yield found.end()


def _words(text: str, start: int, end: int, count: Count, size: int) -> Iterator[tuple[int, int]]:
    """A span that is too long, cut at lines or words; what is one long word is cut anywhere."""
    while start < end:
        # Tokens are hardly ever longer than this, so a piece that fits is found by halving what is left.
        low, high = start + 1, min(end, start + 12 * size)
        if count(text[start:high]) > size:
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if count(text[start:middle]) <= size else (low, middle)
            cut = low
            for mark in ("\n", " "):
                at = text.rfind(mark, start + 1, low)
                if at > start + (low - start) // 2:
                    cut = at + 1
                    break
        else:
            cut = high
            if high < end and (at := text.rfind(" ", start + 1, high)) > start:
                cut = at + 1
        yield start, cut
        start = cut


def _sum_up(extract: Extract, headings: list[str], blocks: Sequence[Block], count: Count) -> Piece | None:
    """A section in a few of its own sentences: the first, and those that say most of what the others say, too.

    Sentences are weighed by the idf-weighted words they share with the section's centroid (Radev et al. 2004, MEAD).
    """
    prose = [block for block in blocks if block.kind == "paragraph"]
    spans = [span for block in prose for span in _spans(extract.text, block)][:CHOSEN]
    if len(spans) <= SENTENCES:
        return None
    words = [[word.lower() for word in _WORD.findall(extract.text[a:b]) if len(word) > 2] for a, b in spans]
    spread = Counter(word for each in words for word in set(each))
    total = Counter(word for each in words for word in each)
    centroid = {word: number * log(1 + len(spans) / spread[word]) for word, number in total.items()}
    ranked = sorted(
        range(1, len(spans)),
        key=lambda at: (-sum(centroid[word] for word in set(words[at])) / (8 + len(words[at])), at),
    )
    chosen, tokens = [0], count(extract.text[slice(*spans[0])])
    for at in ranked:
        more = count(extract.text[slice(*spans[at])])
        if len(chosen) < SENTENCES and tokens + more <= SUMMARY:
            chosen.append(at)
            tokens += more
    if len(chosen) < 2 or tokens > 2 * SUMMARY:
        return None
    text = " ".join(extract.text[slice(*spans[at])].strip() for at in sorted(chosen))
    first, last = blocks[0], blocks[-1]
    return Piece(
        text=text, headings=headings, start=first.start, end=last.end, page=first.page, tokens=tokens, summary=True
    )
