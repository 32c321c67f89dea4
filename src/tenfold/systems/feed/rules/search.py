"""Finding posts and people: what is indexed of a post, what a question means, and in which order answers come.

Lexemes are made here, for the index and for questions alike, so that PostgreSQL's parser and locale have no say: words
without case and accents; pairs of neighbouring characters in scripts that are written without spaces; and what a
question can filter by, as lexemes that no text can contain: `#tag`, `@from:12`, `@has:image`, `@language:de`.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice

import msgspec
import regex

from tenfold.platform.ids import first_id, made_at
from tenfold.systems.feed.rules import text as texts
from tenfold.systems.feed.types import Post, Range

#: Characters and terms of a question that are looked at, and characters of a word that tell it from others.
MOST_QUESTION, MOST_TERMS, MOST_WORD = 400, 24, 64
#: The newest matches among which the best are sought. Whoever wants more goes on below the last id.
CANDIDATES = 300
#: Posts that are tried one by one from the newest on, first to see how frequent the matches are, and at most.
SAMPLE, DEPTH = 2_000, 12_000
#: What the index may do for a question: entries that are looked up in others, and posts that are then fetched.
MOST_LOOKS, MOST_FETCHED = 100_000, 3_000
#: Parts of a question whose frequency is looked at.
MOST_PARTS = 6
#: Seconds after which a match counts half as much as a new one.
HALF_AGE = 7 * 86_400.0
#: What a match counts for that has filters only.
BASE = 0.02
#: Larger than any id.
ENDLESS = (1 << 63) - 1
#: Positions between texts that don't belong together, so that no phrase goes from one into another.
GAP = 16

_ACCENTS = regex.compile("[\u0300-\u036f]")
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+")
_SCRIPT = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\u30fc"
_SPACELESS = regex.compile(rf"(?P<run>[{_SCRIPT}]+)|[^{_SCRIPT}]+")
_TERM = regex.compile(r"""(?P<not>-)?(?:(?P<key>[a-z]+):)?(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+))""", regex.I)
_LIKE = regex.compile(r"[\\%_]")
_DATE = regex.compile(r"(\d{4})(?:-(\d{1,2}))?(?:-(\d{1,2}))?")
_HAS = {
    "media": "media",
    "image": "image",
    "images": "image",
    "photo": "image",
    "gif": "gifv",
    "gifv": "gifv",
    "video": "video",
    "videos": "video",
    "audio": "audio",
    "link": "link",
    "links": "link",
    "hashtag": "hashtag",
    "hashtags": "hashtag",
    "mention": "mention",
    "mentions": "mention",
    "poll": "poll",
    "embed": "link",
}


def fold(text: str) -> str:
    """Without case, and without accents of Latin, Greek and Cyrillic letters; other scripts' signs stay."""
    if text.isascii():
        return text.lower()
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", text)).casefold()
    return unicodedata.normalize("NFC", plain)


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """The words of a text in order, and whether they are runs of a script without spaces."""
    for word in _WORD.findall(fold(text)):
        if word.isascii():
            yield word, False
            continue
        for part in _SPACELESS.finditer(word):
            yield part[0], part["run"] is not None


# --- what is indexed ------------------------------------------------------------------------------------------------


def words(post: Post) -> str:
    """What a post is found by, as the text of a tsvector: cast it, `$1::text::tsvector`, don't parse it again.

    A post that says nothing of its own (a repost) has none: leave its column NULL.
    """
    positions: dict[str, list[int]] = {}
    place = 0
    for text in (post.text, post.spoiler_text, *(media.description or "" for media in post.media)):
        for part, spaceless in _parts(text):
            lexemes = [part[at : at + 2] for at in range(len(part) - 1)] or [part] if spaceless else [part[:MOST_WORD]]
            for lexeme in lexemes:
                place += 1
                positions.setdefault(lexeme, []).append(place)
            if spaceless and len(part) > 1:  # its last character is found as well, and takes no place of its own
                positions.setdefault(part[-1], []).append(place)
        place += GAP
    # PostgreSQL keeps no position above 16,383 and no more than 255 of a lexeme.
    placed = [
        f"{_quoted(lexeme)}:{','.join(str(min(place, 16_383)) for place in places[:255])}"
        for lexeme, places in positions.items()
    ]
    return " ".join([*placed, *map(_quoted, sorted(_facets(post)))])


def _facets(post: Post) -> set[str]:
    found = {f"@from:{post.author_id}", *(f"#{fold(tag)}" for tag in post.tags)}
    found |= {f"@has:{media.type}" for media in post.media}
    if post.media:
        found.add("@has:media")
    if post.tags:
        found.add("@has:hashtag")
    if post.mentions:
        found.add("@has:mention")
    if texts.has_link(post.text):
        found.add("@has:link")
    if post.in_reply_to_id is not None:
        found.add("@is:reply")
    if post.sensitive:
        found.add("@is:sensitive")
    if post.language:
        found.add(f"@language:{post.language.partition('-')[0].lower()}")
    return found


def _quoted(lexeme: str) -> str:
    return "'" + lexeme.replace("\\", "\\\\").replace("'", "''") + "'"


# --- what is asked --------------------------------------------------------------------------------------------------


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A question that was read, before the names in it have become accounts."""

    #: Parts of a tsquery that all must hold, and the lexemes that every match has.
    terms: list[str]
    needed: list[str]
    #: Usernames in lower case, "me" is who asks: posts by any of them, and by none of the others.
    by: frozenset[str]
    not_by: frozenset[str]
    #: Ids that matches lie between, neither included.
    above: int
    below: int

    @property
    def nothing(self) -> bool:
        """Whether nothing was asked."""
        return not (self.terms or self.by or self.not_by) and (self.above, self.below) == (0, ENDLESS)


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants to find, as PostgreSQL reads it."""

    #: A tsquery; "" when any post will do.
    query: str
    #: A tsquery of all that a match must have, wherever it stands: what the index can look up. "" is nothing.
    needed: str
    #: Those of its parts that are likely to be the rarest.
    parts: list[str]
    above: int
    below: int


def tidied(question: str) -> str:
    """As much of a question as is looked at, without characters that the database can't hold."""
    return texts.tidy(question[:MOST_QUESTION])


def read(question: str) -> Asked:
    """Read a question: words, "phrases", #tags, and any of it with - before it to leave it out.

    from:name and from:me; has:media, image, video, gifv, audio, link, hashtag, mention; is:reply, is:sensitive;
    language:de; before:, after: and during: a day, month or year (UTC) as 2026-05-17. in:anything says nothing here.
    What looks like one of them and isn't is words.
    """
    terms: list[str] = []
    needed: list[str] = []
    people: dict[bool, set[str]] = {True: set(), False: set()}
    above, below = 0, ENDLESS
    for found in islice(_TERM.finditer(tidied(question)), MOST_TERMS):
        wanted = found["not"] is None
        key, value = (found["key"] or "").lower(), found["phrase"] or found["word"] or ""
        name = value.removeprefix("@").partition("@")[0].lower()
        if key == "in":
            continue
        if key == "from" and name:
            people[wanted].add(name)
        elif key in ("before", "after", "during") and wanted and (span := _span(value)) is not None:
            start, end = span
            if key != "after":
                below = min(below, start if key == "before" else end)
            if key != "before":
                above = max(above, (start if key == "during" else end) - 1)
        elif lexemes := _facet(key, value) or _phrase(found[0].removeprefix("-")):
            term = f"({' <-> '.join(lexemes)})"
            terms.append(term if wanted else f"!{term}")
            if wanted:
                needed += lexemes
    return Asked(
        terms=terms,
        needed=needed,
        by=frozenset(people[True]),
        not_by=frozenset(people[False] - people[True]),
        above=above,
        below=below,
    )


def ask(asked: Asked, accounts: Mapping[str, int], page: Range, author_id: int | None = None) -> Question | None:
    """What to look for, when the accounts of names are known; only by one author if it is said.

    None: nothing can match. Of the page its bounds count; the limit doesn't, since the best of more are shown.
    """
    by = {accounts[name] for name in asked.by if name in accounts}
    if asked.by and not by:
        return None
    if author_id is not None:
        if asked.by and author_id not in by:
            return None
        by = {author_id}
    above = max(asked.above, page.since_id or 0, page.min_id or 0)
    below = asked.below if page.max_id is None else min(asked.below, page.max_id)
    if above + 1 >= below:
        return None
    authors = ["(" + " | ".join(_quoted(f"@from:{each}") for each in sorted(by)) + ")"] if by else []
    others = ["!" + _quoted(f"@from:{accounts[name]}") for name in sorted(asked.not_by) if name in accounts]
    return Question(
        query=" & ".join([*authors, *asked.terms, *others]),
        needed=" & ".join([*authors, *asked.needed]),
        parts=[*authors, *sorted(asked.needed, key=len, reverse=True)][:MOST_PARTS],
        above=above,
        below=below,
    )


def _span(value: str) -> tuple[int, int] | None:
    """The first id of a day, month or year, and of what follows it."""
    found = _DATE.fullmatch(value)
    if found is None:
        return None
    year, month, day = int(found[1]), int(found[2] or 1), int(found[3] or 1)
    try:
        start = datetime(year, month, day, tzinfo=UTC)
        if found[3] is not None:
            end = start + timedelta(days=1)
        elif found[2] is not None:
            end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
        else:
            end = datetime(year + 1, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return first_id(start.timestamp()), first_id(end.timestamp())


def _facet(key: str, value: str) -> list[str]:
    """The lexeme that a filter stands for, if it is one."""
    folded = fold(value)
    if key == "has" and folded in _HAS:
        return [_quoted(f"@has:{_HAS[folded]}")]
    if key == "is" and folded in ("reply", "sensitive"):
        return [_quoted(f"@is:{folded}")]
    if key == "language" and folded:
        return [_quoted(f"@language:{folded.partition('-')[0]}")]
    if not key and value.startswith("#") and texts.is_tag(value[1:]):
        return [_quoted(f"#{fold(value[1:])}")]
    return []


def _phrase(text: str) -> list[str]:
    """Lexemes of words that follow one another."""
    found: list[str] = []
    for part, spaceless in _parts(text):
        if not spaceless:
            found.append(_quoted(part[:MOST_WORD]))
        elif len(part) == 1:
            found.append(_quoted(part) + ":*")  # as the first of a pair, or alone
        else:
            found += [_quoted(part[at : at + 2]) for at in range(len(part) - 1)]
    return found


# --- how it is found, and in which order it is shown ---------------------------------------------------------------


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What trying the newest posts has shown."""

    #: Posts that were tried, and those of them that have all that is needed, wherever it stands.
    seen: int
    needed: int
    #: Those that have the rarest part of it; None when nothing is needed.
    rarest: int | None
    #: Those that match and may be seen, at most CANDIDATES.
    fits: int
    #: The lowest id that was tried, the upper bound when there was none.
    lowest: int
    #: Posts that there are, roughly.
    total: int


def worth_index(sample: Sample, question: Question) -> bool:
    """Whether to take what the index finds, or to go on trying posts one by one from the newest.

    The index knows no order: it goes through the list of the rarest part, looks each up in the others, and all posts
    that are left are fetched before the newest are known. That is cheap for what is rare. Of what is frequent there is
    enough among the newest, or the question is one of common words that hardly meet, and older posts aren't found.
    """
    if sample.rarest is None or sample.fits * DEPTH >= CANDIDATES * sample.seen:
        return False
    posts = sample.total / sample.seen  # that each tried one stands for
    return sample.rarest * len(question.parts) * posts <= MOST_LOOKS and sample.needed * posts <= MOST_FETCHED


class Match(msgspec.Struct, frozen=True):
    id: int
    #: How well the words fit, as ts_rank has it.
    rank: float


def order(matches: Iterable[Match], now: float) -> list[int]:
    """Ids, best first: (BASE + rank) / (1 + age / HALF_AGE), newer ones first among equals.

    A match of a week ago counts half, of three weeks a quarter: hyperbolic, so that what is very old and fits very
    well still beats what is old and fits badly.
    """

    def score(match: Match) -> tuple[float, int]:
        age = max(0.0, now - made_at(match.id))
        return (BASE + match.rank) / (1 + age / HALF_AGE), match.id

    return [match.id for match in sorted(matches, key=score, reverse=True)]


# --- people and tags -----------------------------------------------------------------------------------------------


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of the names of people."""

    #: The question, folded.
    text: str
    #: LIKE patterns that all must fit, the longest first.
    patterns: list[str]
    #: Whether the trigram index can find the first; with fewer than three letters it would read everything.
    anywhere: bool
    #: Usernames from here up to, not including, `past`; None when the question is several words.
    prefix: str | None
    past: str | None


class Person(msgspec.Struct, frozen=True):
    """An account whose names have what was asked."""

    id: int
    #: Username and display name, folded.
    words: str
    followers: int
    followed: bool


def read_names(question: str) -> Names | None:
    """What a question says of people: parts of their names, or @name. None: nothing."""
    text = " ".join(fold(tidied(question).removeprefix("@")).split())
    parts = sorted(text.split()[:MOST_TERMS], key=len, reverse=True)
    if not parts:
        return None
    prefix = text if len(parts) == 1 else None
    return Names(
        text=text,
        patterns=[f"%{_LIKE.sub(r'\\\g<0>', part)}%" for part in parts],
        anywhere=len(parts[0]) > 2,
        prefix=prefix,
        past=None if prefix is None else past(prefix),
    )


def past(prefix: str) -> str:
    """What sorts behind all that begins so."""
    return prefix + "\U0010ffff"


def order_people(people: Iterable[Person], names: Names) -> list[int]:
    """Ids: whose username it is, then where a name begins so, those whom one follows first, then the best known."""

    def key(person: Person) -> tuple[bool, bool, bool, int, int]:
        username = person.words.partition(" ")[0]
        begins = f" {person.words}".find(f" {names.text}") >= 0
        return username != names.text, not begins, not person.followed, -person.followers, person.id

    return [person.id for person in sorted(people, key=key)]
