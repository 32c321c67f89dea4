"""From the bytes of a file to the pieces that are indexed, in one call that a process of its own can make.

What it answers crosses to another process, so that a file which breaks this one breaks nothing else.
"""

from collections.abc import Callable

import msgspec

from tenfold.platform.errors import TenfoldError
from tenfold.systems.answers.engine.extraction import extract
from tenfold.systems.answers.rules.splitting import split
from tenfold.systems.answers.types.reading import Extract, Piece


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    #: Why it can't be read; then there is nothing else.
    refused: str = ""
    extract: Extract | None = None
    pieces: list[Piece] = []


def read(data: bytes, name: str, media_type: str, pages: int, characters: int, cut: tuple[int, int, str]) -> Reading:
    """Read and cut a document; `cut` is tokens of a piece, those shared, and the tokenizer's file."""
    tokens, overlap, tokenizer = cut
    try:
        found = extract(data, name, media_type, pages, characters)
    except TenfoldError as error:
        # Crossing between processes an error would lose what it says to people.
        return Reading(refused=str(error))
    if not found.text.strip():
        return Reading(refused="There is no text in this document.")
    return Reading(extract=found, pieces=split(found, _counter(tokenizer), tokens, overlap))


def _counter(file: str) -> Callable[[str], int]:
    if not file:
        return lambda text: len(text) // 4 + 1
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(file)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)
