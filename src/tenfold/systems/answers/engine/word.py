"""Documents of Word, from their XML as it streams by: nothing of it is kept but what it says."""

import zipfile
from io import BytesIO
from typing import Final
from xml.parsers import expat

from tenfold.systems.answers.engine.blocks import Blocks, row
from tenfold.systems.answers.errors import UnreadableDocument

_NAMESPACES: Final = frozenset({
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
    "http://purl.oclc.org/ooxml/wordprocessingml/main",
})  # fmt: skip
_CODE: Final = ("code", "preformatted", "source")
PIECE: Final = 1 << 16


def read_word(data: bytes, blocks: Blocks, most: int) -> str:
    """Add what a document says, which is at most `most` bytes of XML. Its title. Raises UnreadableDocument."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            styles = _Styles()
            if "word/styles.xml" in archive.namelist():
                _stream(archive, "word/styles.xml", styles, most)
            body = _Body(blocks, styles.levels)
            _stream(archive, "word/document.xml", body, most)
    except KeyError as error:
        raise UnreadableDocument(reason="it is no document of Word") from error
    except (zipfile.BadZipFile, expat.ExpatError, RuntimeError, NotImplementedError, EOFError) as error:
        raise UnreadableDocument(reason="it is broken, or encrypted") from error
    return body.title


class _Handler:
    """Is told the elements of WordprocessingML by name, with their attributes by name."""

    def start(self, tag: str, attributes: dict[str, str]) -> None: ...
    def end(self, tag: str) -> None: ...
    def text(self, text: str) -> None: ...


def _stream(archive: zipfile.ZipFile, name: str, handler: _Handler, most: int) -> None:
    parser = expat.ParserCreate(namespace_separator=" ")

    def start(name: str, attributes: dict[str, str]) -> None:
        namespace, _, tag = name.rpartition(" ")
        if namespace in _NAMESPACES:
            handler.start(tag, {key.rpartition(" ")[2]: value for key, value in attributes.items()})

    def end(name: str) -> None:
        namespace, _, tag = name.rpartition(" ")
        if namespace in _NAMESPACES:
            handler.end(tag)

    def refuse(*_: object) -> None:
        raise UnreadableDocument(reason="its XML declares a document type, which no document of Word does")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = handler.text, refuse
    left = most
    with archive.open(name) as source:
        # The size that an archive tells is its own claim: what comes out is counted.
        while piece := source.read(PIECE):
            left -= len(piece)
            if left < 0:
                raise UnreadableDocument(reason=f"it unpacks to more than {most // 1024**2} MB")
            parser.Parse(piece, False)
    parser.Parse(b"", True)


class _Styles(_Handler):
    """What styles mean: levels of headings (0 is the title's), -1 for code. Their ids are in the author's language."""

    def __init__(self) -> None:
        self.levels: dict[str, int] = {}
        self._id = ""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        value = attributes.get("val", "")
        if tag == "style":
            self._id = attributes.get("styleId", "")
        elif tag == "name":
            name = value.lower()
            if name == "title":
                self.levels[self._id] = 0
            elif name.startswith("heading ") and name[8:].isdigit():
                self.levels[self._id] = min(int(name[8:]), 6)
            elif any(each in name for each in _CODE):
                self.levels[self._id] = -1
        elif tag == "basedOn" and value in self.levels:
            self.levels.setdefault(self._id, self.levels[value])
        elif tag == "outlineLvl" and value.isdigit() and int(value) < 6:
            self.levels.setdefault(self._id, int(value) + 1)


class _Body(_Handler):
    def __init__(self, blocks: Blocks, levels: dict[str, int]) -> None:
        self.title = ""
        self._blocks = blocks
        self._levels = levels
        self._said: list[str] = []
        self._is_text = self._is_item = False
        self._level: int | None = None
        #: Of the outermost table; tables inside are text of its cells.
        self._depth = 0
        self._rows: list[str] = []
        self._cells: list[str] = []
        self._items: list[str] = []
        self._code: list[str] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        match tag:
            case "t":
                self._is_text = True
            case "tab":
                self._said.append("\t")
            case "br" | "cr":
                self._said.append("\n")
            case "p":
                self._level, self._is_item = None, False
            case "pStyle":
                style = attributes.get("val", "")
                self._level = self._levels.get(style)
                self._is_item = style.startswith("List")
            case "numPr":
                self._is_item = True
            case "tbl":
                if not self._depth:
                    self._end_runs()
                self._depth += 1

    def end(self, tag: str) -> None:
        match tag:
            case "t":
                self._is_text = False
            case "p":
                self._paragraph()
            case "tc" if self._depth == 1:
                self._cells.append("".join(self._said))
                self._said.clear()
            case "tr" if self._depth == 1:
                self._rows.append(row(self._cells))
                self._cells = []
            case "tbl":
                self._depth -= 1
                if not self._depth:
                    self._blocks.add("table", "\n".join(self._rows))
                    self._rows = []
            case "body":
                self._end_runs()

    def text(self, text: str) -> None:
        if self._is_text:
            self._said.append(text)

    def _paragraph(self) -> None:
        if self._depth:
            self._said.append(" ")
            return
        text = "".join(self._said)
        self._said.clear()
        if not text.strip():
            return
        if self._level == -1:
            self._end_runs(but="code")
            self._code.append(text)
        elif self._level is not None:
            self._end_runs()
            if self._level == 0 and not self.title:
                self.title = text.strip()
            self._blocks.add("heading", " ".join(text.split()), level=max(self._level, 1))
        elif self._is_item:
            self._end_runs(but="list")
            self._items.append(f"- {' '.join(text.split())}")
        else:
            self._end_runs()
            self._blocks.add("paragraph", text)

    def _end_runs(self, but: str = "") -> None:
        """Lines of code and items of a list that follow each other are one block."""
        if but != "list":
            self._blocks.add("list", "\n".join(self._items))
            self._items = []
        if but != "code":
            self._blocks.add("code", "\n".join(self._code))
            self._code = []
