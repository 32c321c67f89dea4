"""Markdown and plain text."""

import re
from itertools import pairwise
from textwrap import dedent
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tenfold.systems.answers.engine.blocks import Blocks, row
from tenfold.systems.answers.engine.markup import read_html
from tenfold.systems.answers.types.reading import BlockKind

_FRONT: Final = re.compile(r"\A---\n(.{0,20000}?)\n---\n", re.DOTALL)
_TITLE: Final = re.compile(r"^title:[ \t]*[\"']?(.*?)[\"']?[ \t]*$", re.MULTILINE)
_UNDERLINE: Final = re.compile(r"([=\-~^\"'`#*+.:_])\1{2,}[ \t]*")
_ITEM: Final = re.compile(r"[ \t]*(?:[-*+\u2022]|\d{1,3}[.)])[ \t]+\S")
#: A directive or a target of reStructuredText, which says something to its tools only.
_DIRECTIVE: Final = re.compile(r"\.\. (?:[\w-]+::|_[^:]+:|\|)")


def read_markdown(text: str, blocks: Blocks) -> str:
    """Add what a document in Markdown (CommonMark with tables) says. Its title where it names one."""
    title = ""
    if front := _FRONT.match(text):
        text = text[front.end() :]
        if named := _TITLE.search(front[1]):
            title = named[1]
    _Markdown(blocks).read(MarkdownIt("commonmark", {"maxNesting": 40}).enable("table").parse(text))
    return title


class _Markdown:
    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        #: Lines of the list and rows of the table that are being read.
        self._lines: list[str] = []
        self._cells: list[str] = []
        self._lists = 0

    def read(self, tokens: list[Token]) -> None:
        for token, following in pairwise([*tokens, Token("end", "", 0)]):
            match token.type:
                case "heading_open":
                    self._blocks.add("heading", _plain(following), level=int(token.tag[1]))
                case "bullet_list_open" | "ordered_list_open":
                    self._lists += 1
                case "bullet_list_close" | "ordered_list_close":
                    self._lists -= 1
                    if not self._lists:
                        self._flush("list")
                case "list_item_open":
                    self._lines.append("-")
                case "paragraph_open":
                    self._paragraph(_plain(following))
                case "th_open" | "td_open":
                    self._cells.append(_plain(following))
                case "tr_close":
                    self._lines.append(row(self._cells))
                    self._cells = []
                case "table_close":
                    if not self._lists:
                        self._flush("table")
                case "fence" | "code_block":
                    if self._lists:
                        self._lines += [f"  {line}" for line in token.content.splitlines()]
                    else:
                        self._blocks.add("code", token.content)
                case "html_block":
                    read_html(token.content, self._blocks)
                case _:
                    pass

    def _paragraph(self, text: str) -> None:
        if not self._lists:
            self._blocks.add("paragraph", text)
        elif self._lines and self._lines[-1] == "-":
            self._lines[-1] = f"- {text}"
        else:
            self._lines.append(text)

    def _flush(self, kind: BlockKind) -> None:
        self._blocks.add(kind, "\n".join(line for line in self._lines if line != "-"))
        self._lines = []


def _plain(token: Token) -> str:
    """What a line says, without its marks."""
    parts: list[str] = []
    for each in token.children or ():
        if each.type in ("text", "code_inline"):
            parts.append(each.content)
        elif each.type in ("softbreak", "hardbreak"):
            parts.append("\n" if each.type == "hardbreak" else " ")
        elif each.type == "image":
            parts.append(each.content)
    return "".join(parts)


def read_text(text: str, blocks: Blocks) -> str:
    """Add what a plain text says: paragraphs between empty lines, underlined headings, lists, what is indented."""
    levels: dict[str, int] = {}
    for paragraph in re.split(r"\n{2,}", "\n".join(line.rstrip() for line in text.splitlines())):
        lines = paragraph.strip("\n").split("\n")
        while len(lines) >= 2 and _is_heading(lines):
            over = _UNDERLINE.fullmatch(lines[0]) is not None
            name, mark = (lines[1], lines[2][0] * 2) if over else (lines[0], lines[1][0])
            blocks.add("heading", name.strip(), level=levels.setdefault(mark, min(len(levels) + 1, 6)))
            lines = lines[3:] if over else lines[2:]
        if not any(lines) or _DIRECTIVE.match(lines[0]) or all(_UNDERLINE.fullmatch(line) for line in lines):
            continue
        if all(line.startswith(("    ", "\t", "   ")) for line in lines):
            blocks.add("code", dedent("\n".join(lines)))
        elif _ITEM.match(lines[0]):
            blocks.add("list", "\n".join(lines))
        else:
            blocks.add("paragraph", " ".join(line.strip() for line in lines) if _flows(lines) else "\n".join(lines))
    return ""


def _is_heading(lines: list[str]) -> bool:
    """A short line that is underlined, or lined on both sides."""
    if len(lines) >= 3 and _UNDERLINE.fullmatch(lines[0]) and _UNDERLINE.fullmatch(lines[2]):
        return bool(lines[1].strip()) and not _UNDERLINE.fullmatch(lines[1])
    name, under = lines[0].strip(), _UNDERLINE.fullmatch(lines[1])
    return bool(under and name and not _UNDERLINE.fullmatch(name) and len(under[0].rstrip()) >= min(len(name), 4))


def _flows(lines: list[str]) -> bool:
    """Whether lines were broken to fit a width, and not because they are lines."""
    longest = max(map(len, lines))
    return longest > 50 and all(len(line) > longest / 2 for line in lines[:-1])
