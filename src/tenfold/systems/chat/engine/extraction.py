"""Takes the text out of one file. Runs as a process of its own: a task and the file come in, what was read goes out."""

import re
import resource
import sys
import zipfile
from contextlib import suppress
from html.parser import HTMLParser
from io import BytesIO
from typing import Final
from xml.parsers import expat

import msgspec

from tenfold.systems.chat.rules.kinds import Kind


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says, how that was found out or why not, and whether there is more."""

    text: str = ""
    truncated: bool = False
    how: str


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be read, and within what: seconds, bytes of memory, characters, pages, pages without text."""

    kind: Kind
    seconds: int
    memory: int
    characters: int
    pages: int
    scans: int


class Unreadable(Exception):
    """Why a file can't be read, in words for who sent it."""


#: Bytes of a document of Word, unpacked: about a thousand pages.
MOST_XML: Final = 32 * 1024 * 1024
_SPACES: Final = re.compile(r"[ \t\f\v\u00a0]+")
_GAPS: Final = re.compile(r"\n{3,}")
_INVISIBLE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def bounded(text: str, most: int, how: str) -> Read:
    """Text without what can't be seen, at most so many characters of it."""
    text = _INVISIBLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return Read(text=text[:most], truncated=len(text) > most, how=how)


def extract(task: Task, data: bytes) -> Read:
    """Raises Unreadable, and whatever a parser raises."""
    match task.kind:
        case "pdf":
            return _read_pdf(data, task)
        case "word":
            return bounded(_read_word(data), task.characters, "a document of Word")
        case "html":
            text, encoding = _decode(data, _declared(data))
            return bounded(_read_html(text), task.characters, f"a web page, {encoding}")
        case "image":
            from tenfold.systems.chat.engine.pictures import describe

            text, how = describe(data)
            return bounded(text, task.characters, how)
        case _:
            text, encoding = _decode(data)
            return bounded(text, task.characters, f"text, {encoding}")


def _decode(data: bytes, declared: str | None = None) -> tuple[str, str]:
    """The text and its encoding: as it is declared if that fits, else UTF-8 if that fits, else guessed."""
    for encoding in (declared, "utf-8-sig"):
        if encoding is not None:
            with suppress(UnicodeDecodeError, LookupError):
                return data.decode(encoding), encoding.upper().removesuffix("-SIG")
    from charset_normalizer import from_bytes

    # A guess doesn't get better from more text, only slower.
    guess = from_bytes(data[: 256 * 1024]).best()
    if guess is None:
        raise Unreadable("its encoding isn't known here")
    return data.decode(guess.encoding, errors="replace"), f"probably {guess.encoding.upper()}"


def _declared(data: bytes) -> str | None:
    found = re.search(rb"<(?:meta|\?xml)[^>]{0,200}?(?:charset|encoding)\s*=\s*[\"']?([\w-]{2,30})", data[:4096])
    return found[1].decode() if found else None


class _Page(HTMLParser):
    """What a web page shows: blocks on lines of their own, headings and list items marked as in Markdown."""

    HIDDEN: Final = frozenset({"script", "style", "noscript", "template", "svg", "head", "iframe", "object"})
    VOID: Final = frozenset(
        {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
    )
    #: Those that begin a line, and those that stand between empty lines.
    LINES: Final = frozenset({"li", "tr", "dt", "dd"})
    BLOCKS: Final = frozenset({
        "address", "article", "aside", "blockquote", "div", "dl", "fieldset", "figcaption", "figure", "footer", "form",
        "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "main", "nav", "ol", "p", "pre", "section", "table",
        "title", "ul",
    })  # fmt: skip
    HEADINGS: Final = {f"h{level}": "#" * level + " " for level in range(1, 7)}

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._hidden: list[str] = []
        self._pre = self._cells = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.HIDDEN:
            self._hidden.append(tag)
        elif tag == "body":
            self._hidden.clear()  # a head that was never closed
        elif tag == "title":
            self._hidden = [each for each in self._hidden if each != "head"]
        elif tag == "br":
            self.parts.append("\n")
        elif tag in {"td", "th"}:
            if self._cells:
                self.parts.append(" | ")
            self._cells += 1
        elif tag in self.BLOCKS or tag in self.LINES:
            self._cells = 0
            self._break(tag)
            if mark := self.HEADINGS.get(tag, "- " if tag == "li" else ""):
                self.parts.append(mark)
            self._pre += tag == "pre"
        elif tag == "img" and not self._hidden:
            alternative = dict(attrs).get("alt")
            self.parts.append(f"[picture: {alternative}]" if alternative else "")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._hidden:
            del self._hidden[self._hidden.index(tag) :]
        elif tag in self.BLOCKS or tag in self.LINES:
            self._break(tag)
            self._pre -= tag == "pre" and self._pre > 0

    def _break(self, tag: str) -> None:
        if tag in self.BLOCKS:
            self.parts.append("\n\n")
        elif self.parts and not self.parts[-1].endswith("\n"):
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            if self._pre:
                self.parts.append(data)
                return
            text = _SPACES.sub(" ", data.replace("\n", " "))
            # One space between words, none where a line begins.
            bare = not self.parts or self.parts[-1].endswith((" ", "\n"))
            self.parts.append(text.lstrip(" ") if bare else text)


def _read_html(text: str) -> str:
    page = _Page()
    page.feed(text)
    page.close()
    return _tidy("".join(page.parts))


def _tidy(text: str) -> str:
    """Without spaces at the ends of lines, and with at most one empty line between others."""
    return _GAPS.sub("\n\n", "\n".join(line.rstrip() for line in text.split("\n"))).strip()


class _Document:
    """The text of a document of Word, from its XML as it streams by: nothing of it is kept but the text."""

    NAMESPACE: Final = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    STRICT: Final = "http://purl.oclc.org/ooxml/wordprocessingml/main"

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._is_text = False
        self._style = ""
        self._cells = 0
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._add
        parser.StartDoctypeDeclHandler = self._refuse
        self.feed = parser.Parse

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, tag = name.rpartition(" ")
        if namespace not in {self.NAMESPACE, self.STRICT}:
            return
        match tag:
            case "t":
                self._is_text = True
            case "tab":
                self.parts.append("\t")
            case "br" | "cr":
                self.parts.append("\n")
            case "pStyle":
                style = attributes.get(f"{namespace} val", "")
                level = style.removeprefix("Heading")
                if style == "Title" or (level != style and level in set("123456")):
                    self.parts.append("#" * int(level if level in set("123456") else 1) + " ")
                elif style.startswith("List"):
                    self.parts.append("- ")
            case "numPr":
                if not self.parts or self.parts[-1] != "- ":
                    self.parts.append("- ")
            case "tr":
                self._cells = 0
            case "tc":
                self.parts.append(" | " if self._cells else "")
                self._cells += 1

    def _end(self, name: str) -> None:
        match name.rpartition(" ")[2]:
            case "t":
                self._is_text = False
            case "p":
                self.parts.append(" " if self._cells else "\n\n")
            case "tr":
                self.parts.append("\n")
                self._cells = 0
            case "tbl":
                self.parts.append("\n")

    def _add(self, text: str) -> None:
        if self._is_text:
            self.parts.append(text)

    def _refuse(self, *_: object) -> None:
        raise Unreadable("its XML declares a document type, which no document of Word does")


def _read_word(data: bytes) -> str:
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive, archive.open("word/document.xml") as source:
            document = _Document()
            left = MOST_XML
            # The size that an archive tells is its own claim: what comes out is counted.
            while piece := source.read(1 << 16):
                left -= len(piece)
                if left < 0:
                    raise Unreadable(f"it unpacks to more than {MOST_XML // 1024**2} MB")
                document.feed(piece, False)
            document.feed(b"", True)
    except KeyError as error:
        raise Unreadable("it is no document of Word") from error
    except (zipfile.BadZipFile, expat.ExpatError, RuntimeError, NotImplementedError) as error:
        raise Unreadable("it is broken, or encrypted") from error
    return _tidy("".join(document.parts))


def _read_pdf(data: bytes, task: Task) -> Read:
    from pypdfium2 import PdfDocument, PdfiumError

    try:
        document = PdfDocument(data)
    except PdfiumError as error:
        raise Unreadable("it is encrypted" if "assword" in str(error) else "it is broken") from error
    pages, parts, length = len(document), [], 0
    for number in range(min(pages, task.pages)):
        text = document[number].get_textpage().get_text_bounded().strip()
        parts.append(f"[page {number + 1}]\n{text}" if text else "")
        length += len(text)
        if length > task.characters:
            break
    if length:
        how = f"a PDF, {len(parts)} of {pages} pages"
        read = bounded("\n\n".join(part for part in parts if part), task.characters, how)
        return msgspec.structs.replace(read, truncated=read.truncated or len(parts) < pages)
    return _read_scans(document, pages, task)


def _read_scans(document: "object", pages: int, task: Task) -> Read:
    """Pages that are pictures only."""
    from tenfold.systems.chat.engine.pictures import MOST_SIDE, recognise

    parts = []
    shown = min(pages, task.scans)
    for number in range(shown):
        page = document[number]  # type: ignore[index]
        scale = min(150 / 72, MOST_SIDE / max(1.0, *page.get_size()))
        lines = recognise(page.render(scale=scale).to_pil().convert("RGB"))
        parts.append(f"[page {number + 1}]\n" + "\n".join(lines))
    how = f"a PDF without text: {shown} of {pages} pages read by OCR"
    read = bounded("\n\n".join(parts), task.characters, how)
    return msgspec.structs.replace(read, truncated=read.truncated or shown < pages)


def _limit(task: Task) -> None:
    """What isn't known to a system stays unlimited there; the time is watched from outside all the same."""
    for what, most in (
        (resource.RLIMIT_AS, task.memory),
        (resource.RLIMIT_CPU, 4 * task.seconds),
        (resource.RLIMIT_FSIZE, 8 * task.characters + 10_000),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(OSError, ValueError):
            resource.setrlimit(what, (most, most))


def main() -> None:
    head, _, data = sys.stdin.buffer.read().partition(b"\n")
    task = msgspec.json.decode(head, type=Task)
    _limit(task)
    try:
        read = extract(task, data)
    except Unreadable as why:
        read = Read(how=f"not read: {why}")
    except MemoryError:
        read = Read(how="not read: it needs too much memory")
    except Exception:  # noqa: BLE001 - whatever a parser trips over, the file is at fault
        read = Read(how="not read: it is broken")
    sys.stdout.buffer.write(msgspec.json.encode(read))
