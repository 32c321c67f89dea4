"""Web pages: what they say, without what leads around them."""

import re
from typing import Final

from selectolax.lexbor import LexborHTMLParser, LexborNode

from tenfold.systems.answers.engine.blocks import Blocks, one_line, row

#: Elements that say nothing, or lead elsewhere.
SKIPPED: Final = frozenset({
    "script", "style", "noscript", "template", "svg", "head", "iframe", "object", "nav", "aside", "footer", "form",
    "button", "select", "input", "dialog", "canvas", "audio", "video", "-comment", "#comment", "math",
})  # fmt: skip
#: Parts of pages that frameworks of documentation put around what is said: by class, id and role.
_AROUND: Final = re.compile(
    r"(?:^|[ _-])(?:headerlink|sidebar|navbar|breadcrumbs?|toctree-wrapper|toc|menu|cookie|skip-?link|pagination|"
    r"related|navigation|copyright|edit-this-page|visually-hidden|sr-only|admonition-title-icon|copybtn)(?:$|[ _-])"
)
#: Elements whose id is made of their title, which may be any of these words.
_TITLED: Final = frozenset({"section", "dt", "h1", "h2", "h3", "h4", "h5", "h6"})
_ROLES: Final = frozenset({"navigation", "search", "banner", "contentinfo", "complementary", "menu", "dialog"})
#: Where the main text is said to be, the surest first.
_MAIN: Final = ("main", "[role=main]", "article", "#content", ".body", ".document")
#: What the main text says at least, in characters, before the rest is left out.
MAIN: Final = 200
_BLOCKS: Final = frozenset({
    "address", "article", "blockquote", "body", "center", "dd", "details", "div", "dl", "dt", "fieldset", "figcaption",
    "figure", "header", "hr", "html", "li", "main", "ol", "p", "section", "summary", "table", "ul", "pre", "tbody",
    "tr", "h1", "h2", "h3", "h4", "h5", "h6", "hgroup", "thead", "tfoot", "caption", "td", "th",
})  # fmt: skip
#: Blocks that pages put into what is meant to stand in a line.
_INNER: Final = "p,div,ul,ol,table,pre,h1,h2,h3,h4"
_LIST: Final = frozenset({"ul", "ol"})
#: Elements inside each other that are followed; what is deeper is taken as plain text.
DEPTH: Final = 200
#: Of the text of a list that is links, from which on it leads elsewhere; and how many links it has then at least.
LINKS, MANY = 0.9, 4


def read_html(text: str, blocks: Blocks) -> str:
    """Add what a page says. Its title."""
    page = LexborHTMLParser(text)
    named = page.css_first("title")
    body = page.body
    if body is None:
        return ""
    root = body
    for where in _MAIN:
        found = page.css_first(where)
        if found is not None and len(found.text(deep=True, strip=True)) >= MAIN:
            root = found
            break
    _Walk(blocks).through(root, 0)
    return one_line(named.text(deep=True)) if named else ""


class _Walk:
    """From block to block. What stands between two of them is a paragraph."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._said: list[str] = []

    def through(self, node: LexborNode, depth: int) -> None:
        for child in node.iter(include_text=True):
            tag = child.tag or ""
            if tag == "-text":
                self._said.append(child.text(deep=False).replace("\n", " "))
            elif tag in SKIPPED or _is_around(child):
                continue
            elif tag == "br":
                self._said.append("\n")
            elif tag == "img":
                alternative = child.attributes.get("alt")
                self._said.append(f" {alternative} " if alternative else "")
            elif tag not in _BLOCKS and (depth >= DEPTH or child.css_first(_INNER) is None):
                self._said.append(_inline(child))
            else:
                self._block(child, tag, depth)
        if node.tag in _BLOCKS:
            self._end()

    def _block(self, node: LexborNode, tag: str, depth: int) -> None:
        self._end()
        if tag == "pre":
            self._blocks.add("code", node.text(deep=True))
        elif len(tag) == 2 and tag[0] == "h" and tag[1].isdigit():
            self._blocks.add("heading", " ".join(_inline(node).split()), level=int(tag[1]))
        elif tag == "table" and not _is_layout(node):
            self._table(node)
        elif tag in _LIST and node.css_first("pre,table,p,div") is None:
            if not _leads_elsewhere(node):
                self._blocks.add("list", "\n".join(_items(node, 0)))
        elif depth >= DEPTH:
            self._blocks.add("paragraph", node.text(deep=True, separator=" "))
        else:
            self.through(node, depth + 1)
            self._end()

    def _table(self, table: LexborNode) -> None:
        rows = [[_inline(cell) for cell in line.css("th,td")] for line in table.css("tr")]
        rows = [each for each in rows if any(cell.strip() for cell in each)]
        if rows:
            self._blocks.add("table", "\n".join(row(each) for each in rows))

    def _end(self) -> None:
        self._blocks.add("paragraph", "".join(self._said))
        self._said.clear()


def _inline(node: LexborNode) -> str:
    """The text of something within a line, without marks that lead to itself."""
    parts: list[str] = []
    for each in node.traverse(include_text=True):
        if each.tag == "-text":
            parent = each.parent
            if parent is None or not (parent.tag in SKIPPED or _is_around(parent)):
                parts.append(each.text(deep=False).replace("\n", " "))
        elif each.tag == "br":
            parts.append("\n")
    return "".join(parts)


def _items(node: LexborNode, depth: int) -> list[str]:
    lines: list[str] = []
    for item in node.iter():
        if item.tag != "li":
            continue
        inner = [each for each in item.iter() if each.tag in _LIST]
        own = "".join(
            each.text(deep=False) if each.tag == "-text" else _inline(each)
            for each in item.iter(include_text=True)
            if each.tag not in _LIST and each.tag not in SKIPPED
        )
        lines.append("- " + " ".join(own.split()))
        for each in inner:
            lines += _items(each, depth + 1) if depth < DEPTH else [each.text(deep=True, separator=" ")]
    return lines


def _is_around(node: LexborNode) -> bool:
    attributes = node.attributes
    if not attributes:
        return False
    if attributes.get("role") in _ROLES or "hidden" in attributes or attributes.get("aria-hidden") == "true":
        return True
    said = attributes.get("class") or ""
    if node.tag not in _TITLED and "section" not in said.split():
        said = f"{said} {attributes.get('id') or ''}"
    return bool(_AROUND.search(said))


def _is_layout(table: LexborNode) -> bool:
    """Whether a table only puts things beside each other."""
    return table.css_first("table,pre,h1,h2,h3") is not None and table.css_first("th") is None


def _leads_elsewhere(node: LexborNode) -> bool:
    links = node.css("a")
    if len(links) < MANY:
        return False
    whole = len(node.text(deep=True, strip=True))
    return sum(len(each.text(deep=True, strip=True)) for each in links) >= LINKS * whole
