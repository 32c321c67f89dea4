"""What a document says: from the bytes of a file to text in blocks. Blocks, and meant for a process of its own."""

import csv
import io
import re
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Final

from tenfold.systems.answers.engine.blocks import Blocks, row
from tenfold.systems.answers.errors import UnreadableDocument
from tenfold.systems.answers.types.reading import Extract

#: Characters of a document, its pages, and bytes of XML that one of Word unpacks to.
CHARACTERS, PAGES, XML = 20_000_000, 5000, 256 * 1024 * 1024
#: Bytes by which an encoding is guessed; a guess doesn't get better from more, only slower.
GUESSED = 256 * 1024

_BY_NAME: Final = {
    ".pdf": "pdf", ".html": "html", ".htm": "html", ".xhtml": "html", ".md": "markdown", ".markdown": "markdown",
    ".mdx": "markdown", ".docx": "docx", ".csv": "csv", ".tsv": "csv", ".txt": "text", ".text": "text", ".rst": "text",
    ".log": "text", ".adoc": "text", ".org": "text", "": "text",
}  # fmt: skip
_BY_TYPE: Final = {
    "application/pdf": "pdf", "text/html": "html", "application/xhtml+xml": "html", "text/markdown": "markdown",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx", "text/csv": "csv",
    "text/tab-separated-values": "csv", "text/plain": "text",
}  # fmt: skip
_DECLARED: Final = re.compile(rb"<(?:meta|\?xml)[^>]{0,200}?(?:charset|encoding)\s*=\s*[\"']?([\w-]{2,30})")
#: Bytes that text has none of.
_BINARY: Final = re.compile(rb"[\x00-\x06\x0e-\x1a]")


def kind_of(name: str, media_type: str = "", data: bytes = b"") -> str | None:
    """What a file is by its first bytes, its name or what it is said to be; None is nothing that can be read."""
    if data.startswith(b"%PDF-"):
        return "pdf"
    by_name = _BY_NAME.get(PurePosixPath(name).suffix.lower())
    by_type = _BY_TYPE.get(media_type.partition(";")[0].strip().lower())
    found = by_type if by_type not in (None, "text") else by_name or by_type
    if found is None and media_type.startswith("text/"):
        found = "text"
    return found


def extract(data: bytes, name: str, media_type: str = "", pages: int = PAGES, characters: int = CHARACTERS) -> Extract:
    """What a file says. Raises UnreadableDocument, DocumentTooLong."""
    kind = kind_of(name, media_type, data)
    blocks = Blocks(characters)
    if kind is None:
        raise UnreadableDocument(reason="it is none of PDF, HTML, Markdown, DOCX, CSV and plain text")
    if not data.strip():
        raise UnreadableDocument(reason="it is empty")
    if kind == "pdf":
        from tenfold.systems.answers.engine.pdf import read_pdf

        title, number = read_pdf(data, blocks, pages)
        return blocks.extract(kind, title, number)
    if kind == "docx":
        from tenfold.systems.answers.engine.word import read_word

        return blocks.extract(kind, read_word(data, blocks, XML))
    text = decoded(data, declared=kind == "html")
    return blocks.extract(kind, _read(kind, text, blocks))


def _read(kind: str, text: str, blocks: Blocks) -> str:
    match kind:
        case "html":
            from tenfold.systems.answers.engine.markup import read_html

            return read_html(text, blocks)
        case "markdown":
            from tenfold.systems.answers.engine.prose import read_markdown, read_text

            title = read_markdown(text, blocks)
            return title if len(blocks) else read_text(text, blocks)  # nested beyond reading
        case "csv":
            return read_csv(text, blocks)
        case _:
            from tenfold.systems.answers.engine.prose import read_text

            return read_text(text, blocks)


def decoded(data: bytes, *, declared: bool = False) -> str:
    """The text of bytes: as they declare it if that fits, else UTF-8 if that fits, else guessed."""
    found = _DECLARED.search(data[:4096]) if declared else None
    marked = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else None
    if marked is None and len(_BINARY.findall(data[:GUESSED])) > len(data[:GUESSED]) // 200:
        raise UnreadableDocument(reason="it isn't text")
    for encoding in (marked, found[1].decode() if found else None, "utf-8-sig"):
        if encoding is not None:
            with suppress(UnicodeDecodeError, LookupError):
                return data.decode(encoding)
    from charset_normalizer import from_bytes

    guess = from_bytes(data[:GUESSED]).best()
    if guess is None:
        raise UnreadableDocument(reason="its encoding isn't known here")
    return data.decode(guess.encoding, errors="replace")


def read_csv(text: str, blocks: Blocks) -> str:
    """Add a table. Its separator is whichever its first lines have."""
    sample = text[:16_384]
    try:
        dialect: type[csv.Dialect] | csv.Dialect = csv.Sniffer().sniff(sample, delimiters=",;\t|")
    except csv.Error:
        dialect = csv.excel
    rows: list[str] = []
    try:
        for cells in csv.reader(io.StringIO(text), dialect):
            if any(cell.strip() for cell in cells):
                rows.append(row(cells))  # noqa: PERF401 - what was read before an error counts
    except csv.Error as error:
        raise UnreadableDocument(reason=f"line {len(rows) + 1} is no CSV: {error}") from error
    blocks.add("table", "\n".join(rows))
    return ""
