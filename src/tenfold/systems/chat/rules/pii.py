"""Personal data and secrets in a text: where they are, and the text without them, at once or as it streams."""

import re
from collections.abc import Iterator

import msgspec

from tenfold.systems.chat.rules import identifiers
from tenfold.systems.chat.rules.identifiers import GAP, INSIDE, MONTH, Candidate

#: From which score on a finding is redacted.
SURE = 0.5
#: Characters that a text may have; who sends more is told before, by the bounds of the request.
MOST = 1_000_000
#: Characters before a number that may say what it is.
SAID = 64
#: Characters of a word, beyond which it is taken as several, and those of a private key.
MOST_WORD, MOST_KEY = 8192, 16384


class Finding(msgspec.Struct, frozen=True):
    """Something personal or secret at [start, end), in characters; `score` says how sure that is, 0 to 1."""

    kind: str
    start: int
    end: int
    score: float


class Redacted(msgspec.Struct, frozen=True):
    """A text in which placeholders stand for what was found; the findings' places are those of the text before."""

    text: str
    findings: list[Finding]


def find(text: str) -> list[Finding]:
    """What is personal or secret in a text, in order, none over another. Linear in its length; ValueError beyond MOST.

    Scores below SURE are guesses: an address of a private network, say.
    """
    if len(text) > MOST:
        raise ValueError(f"a text of more than {MOST} characters")
    found, _ = _scan(text, 0, final=True)
    return found


def redact(text: str) -> Redacted:
    """The text with [EMAIL_1], [CARD_1] and the like; the same value has the same placeholder everywhere in it."""
    names = _Names()
    findings = [finding for finding in find(text) if finding.score >= SURE]
    return Redacted(names.replaced(text, 0, len(text), findings), findings)


class Redactor:
    """Redacts a text that arrives in pieces, with the very result that `redact` has for all of it at once.

    It holds back what may still become something: the last word, and a number until it is clear that it has ended.
    """

    def __init__(self) -> None:
        # What is held back starts at `_at`; before it stands what may tell what that is.
        self._text = ""
        self._at = 0
        self._names = _Names()

    def feed(self, piece: str) -> str:
        """What can be shown now that this piece is there; it may be empty."""
        self._text += piece
        return self._shown(final=False)

    def end(self) -> str:
        """The rest. The redactor starts anew, but goes on counting."""
        rest = self._shown(final=True)
        self._text, self._at = "", 0
        return rest

    def _shown(self, *, final: bool) -> str:
        found, until = _scan(self._text, self._at, final=final)
        shown = self._names.replaced(self._text, self._at, until, [each for each in found if each.score >= SURE])
        kept = max(0, until - SAID)
        self._text, self._at = self._text[kept:], until - kept
        return shown


_EXACT = frozenset({"secret", "jwt", "password", "private_key", "ip"})


class _Names:
    """Placeholders by value."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}

    def replaced(self, text: str, start: int, end: int, findings: list[Finding]) -> str:
        parts: list[str] = []
        for each in findings:
            parts += [text[start : each.start], self._name(each.kind, text[each.start : each.end])]
            start = each.end
        parts.append(text[start:end])
        return "".join(parts)

    def _name(self, kind: str, value: str) -> str:
        # A number is the same however it is grouped; of what tells capitals apart, every character counts.
        if kind == "email":
            value = value.casefold()
        elif kind not in _EXACT:
            value = "".join(filter(str.isalnum, value)).casefold()
        key = (kind, value)
        if key not in self._names:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self._names[key] = f"[{kind.upper()}_{self._counts[kind]}]"
        return self._names[key]


# A text is read word by word. What starts in a word may go on in the words behind it, if they look like parts of a
# number or a date; nothing looks further than that, nor further back than SAID, so what is found doesn't depend on
# how much of the text is there.
_WORD = re.compile(rf"[{INSIDE}]{{1,{MOST_WORD}}}")
_MAY_START = re.compile(rf"[0-9@]|(?i:{MONTH}\.?)\Z|[A-Z]{{2}}\Z|-----BEGIN")
_GOES_ON = re.compile(rf"[0-9]|(?i:{MONTH}\.?)\Z|[A-Z]{{2}}\Z")
_REST = re.compile(
    rf"(?:[{GAP}]{{1,2}}(?:[+(]{{0,2}}\d[{INSIDE}]{{0,40}}|[A-Z][A-Z0-9]{{0,6}}[,.;:!?)]{{0,2}}|of|de|(?i:{MONTH})[.,]?)(?![{INSIDE}])){{0,14}}"
)
_MAY_GO_ON = re.compile(rf"[{GAP}]{{0,2}}[{INSIDE}]{{0,14}}\Z")
_KEY_BEGUN = re.compile(r"-----BEGIN[A-Z0-9 ]{0,60}-{0,5}\Z")
_KEY = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_BODY = re.compile(
    r"""(?:[\s"'\\>|]|(?<=\\)[nr]|[A-Za-z0-9+/=]{24,100}|(?:Proc-Type|DEK-Info|Version|Comment|Charset|Hash):[^\n]{0,100}\n)*+"""
)
_KEY_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
#: Characters in which a key's end must stand behind the last full line of it, and what may still change a line.
_KEY_LAST, _KEY_AHEAD = 100, 400


def _scan(text: str, at: int, *, final: bool) -> tuple[list[Finding], int]:
    """What is found from `at` on, and up to where that is all, whatever follows. All of the text, if it is `final`."""
    found: list[Finding] = []
    while (word := _WORD.search(text, at)) is not None:
        start, end = word.span()
        if not final and end == len(text) and end - start < MOST_WORD:
            return found, start
        at = end
        if not _MAY_START.search(text, start, end):
            continue
        begun = text.find("-----BEGIN", start, end)
        if begun == start:
            kept = _key(text, start, final=final)
            if kept is None:
                return found, start
            if kept > start:
                found.append(Finding("private_key", start, kept, 0.99))
                at = kept
                continue
        elif begun > start:
            end = at = begun
        rest = end
        if at == word.end() and _GOES_ON.search(text, start, end):
            going = _REST.match(text, end)
            assert going is not None
            rest = going.end()
            if not final and (rest == len(text) or _MAY_GO_ON.match(text, rest)):
                return found, start
        said = text[max(0, start - SAID) : start]
        for each in _chosen(text[start:rest], end - start, said):
            found.append(Finding(each.kind, start + each.start, start + each.end, each.score))
            at = max(at, start + each.end)
    return found, len(text)


def _chosen(piece: str, until: int, said: str) -> Iterator[Candidate]:
    """Those that start before `until`, none over another: of several, the surest, then the first, then the longest."""
    some = sorted(_candidates(piece, until, said), key=lambda each: (each.start, -each.score, -each.end, each.kind))
    rivals: list[Candidate] = []
    end = 0
    for each in some:
        if each.start >= until:
            break
        if rivals and each.start >= rivals[0].end:
            best = max(rivals, key=lambda rival: (rival.score, -rival.start, rival.end))
            yield best
            end, rivals = best.end, []
        if each.start >= end:
            rivals.append(each)
    if rivals:
        yield max(rivals, key=lambda rival: (rival.score, -rival.start, rival.end))


def _candidates(piece: str, until: int, said: str) -> Iterator[Candidate]:
    yield from identifiers.emails(piece[:until])
    yield from identifiers.secrets(piece[:until])
    yield from identifiers.addresses(piece[:until], said)
    yield from identifiers.lettered(piece)
    yield from identifiers.births(piece, said)
    yield from identifiers.numbers(piece, until, said)


def _key(text: str, start: int, *, final: bool) -> int | None:
    """Where a private key that starts here ends; `start` if there is none, None if that can't be told yet."""
    header = _KEY.match(text, start)
    if header is None:
        return None if not final and _KEY_BEGUN.match(text, start) else start
    body = _KEY_BODY.match(text, header.end(), start + MOST_KEY)
    assert body is not None
    closed = _KEY_END.search(text, body.end(), body.end() + _KEY_LAST)
    if closed is not None:
        return closed.end()
    if final or len(text) >= body.end() + _KEY_AHEAD:
        return body.end()
    return None
