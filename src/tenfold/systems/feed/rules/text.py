"""What a post says: how long it is, whom and what it names, and its HTML, in the shape that Mastodon's clients know."""

from collections.abc import Iterator, Sequence
from html import escape
from urllib.parse import quote

import msgspec
import regex

from tenfold.systems.feed.types import Mention

#: Code points that a grapheme may have on average: a family of four with skin tones has eleven. Beyond it a text counts
#: as longer than it looks, so that one letter with a thousand accents is no short post.
CODE_POINTS_PER_GRAPHEME = 16
#: Characters of a link; what is longer is text.
MOST_URL = 2048

# Each alternative starts with a literal and is bounded wherever it could look back, so that it takes linear time.
# U+30xx and U+FFxx are the punctuation of Chinese and Japanese, which ends a link without a space, and their #.
_ENTITY = regex.compile(
    r"""
    (?<![\w@/=]) (?P<url>
        https?://
        (?: (?:[\w-]{1,63}\.){1,10} (?: [a-z][a-z0-9-]{0,61}[a-z0-9] | [^\W\d_a-z]{2,63} )
          | localhost | \d{1,3}(?:\.\d{1,3}){3} )
        (?![\w@-]*@) (?: :\d{1,5}(?!\d) )?
        (?: [/?#] [^\s<>"\p{Pi}\p{Pf}\p{Cc}\p{Bidi_Control}\u3001\u3002\u3008-\u3011\uff01\uff08\uff09\uff0c\uff1f]* )?
    )
  | (?<![\w@/=]) @(?P<mention> [a-z0-9_]{1,64} ) (?![a-z0-9_]) (?P<host> @ (?:[\w-]{1,63}\.){1,10} [\w-]{2,63} )?
  | (?<![\w/=)&]) [#\uff03](?= [\p{N}\p{Pc}\p{M}\u00b7\u30fb]{0,99}\p{L} )
    (?P<tag> [\p{L}\p{M}\p{N}\p{Pc}\u00b7\u30fb]{1,100} ) (?![\p{L}\p{M}\p{N}\p{Pc}\u00b7\u30fb])
    """,
    regex.VERBOSE | regex.IGNORECASE | regex.VERSION0,
)
_GRAPHEME = regex.compile(r"\X")
_FLAG = regex.compile("[\U0001f1e6-\U0001f1ff]{2}")
_BREAKS = regex.compile(r"\r\n?|[\u2028\u2029\x0b\x0c\x85]")
# What no text needs: control characters but tab and line feed, and halves of surrogate pairs.
_UNWANTED = regex.compile(r"[^\P{Cc}\t\n]|\p{Cs}")
_PARAGRAPHS = regex.compile(r"\n[ \t]*(?:\n[ \t]*)+")
_SCHEME = regex.compile(r"https?://(?:www\.)?", regex.IGNORECASE)
#: Characters of a link that are shown.
_SHOWN = 30

_CLOSING = {")": "(", "]": "[", "}": "{"}
_TRAILING = frozenset(".,:;!?'*_~\u2026`")


class Reading(msgspec.Struct, frozen=True):
    """Whom and what a text names, in order."""

    #: Usernames of this instance in lower case, each once.
    mentions: list[str]
    #: Tags as they are written, without the sign, each once however it is written.
    tags: list[str]


def tidy(text: str) -> str:
    """A text as it is kept: with one kind of line break, without control characters, nothing blank around it."""
    return _UNWANTED.sub("", _BREAKS.sub("\n", text)).strip()


def count(text: str, *, url_characters: int = 23) -> int:
    """How long a text is, in graphemes as readers see them (extended grapheme clusters of UAX #29).

    Any link counts as `url_characters`; of a mention of somebody elsewhere, @name@host, the host doesn't count.
    """
    parts: list[str] = []
    end, extra = 0, 0
    for kind, match, until in _entities(text):
        if kind == "url":
            parts.append(text[end : match.start()])
            extra += url_characters
            end = until
        elif kind == "host":
            parts.append(text[end : match.end("mention")])
            end = until
    parts.append(text[end:])
    return extra + sum(map(_graphemes, parts))


def _graphemes(text: str) -> int:
    text = text.replace("\r\n", "\n")
    if text.isascii():
        return len(text)
    # A pair of regional indicators behaves as a letter does; taken as they are, a long row of them costs its square.
    seen = sum(1 for _ in _GRAPHEME.finditer(_FLAG.sub("x", text)))
    return max(seen, -(-len(text) // CODE_POINTS_PER_GRAPHEME))


def read(text: str) -> Reading:
    """Whom and what a text names: @name, and #tags with at least one letter. Not those of elsewhere, nor in links."""
    mentions: dict[str, None] = {}
    tags: dict[str, str] = {}
    for kind, match, _ in _entities(text):
        if kind == "mention":
            mentions[match["mention"].lower()] = None
        elif kind == "tag":
            tags.setdefault(match["tag"].casefold(), match["tag"])
    return Reading(list(mentions), list(tags.values()))


def is_tag(name: str) -> bool:
    """Whether a name, without its sign, can be a tag."""
    return read(f"#{name}").tags == [name]


def has_link(text: str) -> bool:
    return any(kind == "url" for kind, _, _ in _entities(text))


def to_html(text: str, mentions: Sequence[Mention], url: str) -> str:
    """The text as HTML, escaped. Only these mentions become links; `url` is where this instance is, without a slash.

    Paragraphs are <p>, single line breaks <br />; links show their first 30 characters without the scheme.
    """
    if not text:
        return ""
    if "\r" in text:
        text = _BREAKS.sub("\n", text)
    names = {mention.username.lower(): mention.username for mention in mentions}
    parts: list[str] = []
    end = 0
    for kind, match, until in _entities(text):
        start = match.start()
        if kind == "url":
            made = _link(text[start:until])
        elif kind == "tag":
            tag = match["tag"]
            made = (
                f'<a href="{escape(url)}/tags/{quote(tag.lower())}" class="mention hashtag" rel="tag">'
                f"#<span>{escape(tag)}</span></a>"
            )
        elif kind == "mention" and (name := names.get(match["mention"].lower())) is not None:
            made = (
                f'<span class="h-card" translate="no"><a href="{escape(url)}/@{quote(name)}" class="u-url mention">'
                f"@<span>{escape(name)}</span></a></span>"
            )
        else:
            continue
        parts += [_lines(text[end:start]), made]
        end = until
    parts.append(_lines(text[end:]))
    return f"<p>{''.join(parts)}</p>"


def _lines(text: str) -> str:
    text = escape(text)
    if "\n" in text:
        text = _PARAGRAPHS.sub("</p><p>", text).replace("\n", "<br />")
    return text


def _link(address: str) -> str:
    scheme = _SCHEME.match(address)
    start = scheme.end() if scheme else 0
    shown, rest = address[start : start + _SHOWN], address[start + _SHOWN :]
    return (
        f'<a href="{escape(address)}" target="_blank" rel="nofollow noopener noreferrer" translate="no">'
        f'<span class="invisible">{escape(address[:start])}</span>'
        f'<span class="{"ellipsis" if rest else ""}">{escape(shown)}</span>'
        f'<span class="invisible">{escape(rest)}</span></a>'
    )


def _entities(text: str) -> Iterator[tuple[str, "regex.Match[str]", int]]:
    """What stands out in a text: "url", "mention", "host" (a mention of elsewhere) or "tag", and where it ends."""
    if "@" not in text and "#" not in text and "\uff03" not in text and "://" not in text:
        return
    for match in _ENTITY.finditer(text):
        kind, end = match.lastgroup, match.end()
        assert kind is not None
        if kind == "url":
            end = _trimmed(text, match.start(), end)
            if end - match.start() > MOST_URL:
                continue
        yield kind, match, end


def _trimmed(text: str, start: int, end: int) -> int:
    """Where a link ends without what belongs to the sentence: punctuation, and brackets that it doesn't open."""
    link = text[start:end]
    surplus = {close: link.count(close) - link.count(open_) for close, open_ in _CLOSING.items()}
    while (last := text[end - 1]) in _TRAILING or surplus.get(last, 0) > 0:
        if last in surplus:
            surplus[last] -= 1
        end -= 1
    return end
