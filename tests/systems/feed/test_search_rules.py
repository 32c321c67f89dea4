"""What is indexed of a post, what a question means, and in which order answers come."""

import re
from datetime import UTC, datetime

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from tenfold.platform.ids import first_id
from tenfold.systems.feed.rules import search as rules
from tenfold.systems.feed.rules.search import Match, Person
from tenfold.systems.feed.types import Media, Mention, Post, Range


def post(text: str, **values: object) -> Post:
    usual: dict[str, object] = {
        "id": 1, "author_id": 7, "text": text, "spoiler_text": "", "visibility": "public", "sensitive": False,
        "language": None, "in_reply_to_id": None, "in_reply_to_account_id": None, "conversation_id": 1,
        "reblog_of_id": None, "mentions": [], "tags": [], "media": [], "application": None,
        "created_at": datetime.now(UTC), "edited_at": None, "favourites": 0, "reblogs": 0, "replies": 0,
    }  # fmt: skip
    return Post(**(usual | values))  # type: ignore[arg-type]


def picture(description: str | None = None) -> Media:
    return Media(id=1, type="image", key="", preview_key="", meta={}, blurhash=None, description=description)


def asked(question: str, **accounts: int) -> rules.Question | None:
    return rules.ask(rules.read(question), accounts, Range())


def query(question: str, **accounts: int) -> str | None:
    found = asked(question, **accounts)
    return None if found is None else found.query


def test_what_is_indexed() -> None:
    indexed = rules.words(
        post(
            "Größe counts, größe! https://example.com",
            spoiler_text="Tea",
            tags=["Größe"],
            mentions=[Mention(2, "bob")],
            media=[picture("A cat")],
            language="de-CH",
            in_reply_to_id=5,
        )
    )
    assert indexed.split() == [
        "'grosse':1,3", "'counts':2", "'https':4", "'example':5", "'com':6", "'tea':23", "'a':40", "'cat':41",
        "'#grosse'", "'@from:7'", "'@has:hashtag'", "'@has:image'", "'@has:link'", "'@has:media'", "'@has:mention'",
        "'@is:reply'", "'@language:de'",
    ]  # fmt: skip
    assert rules.words(post("日本語go")) == "'日本':1 '本語':2 '語':2 'go':3 '@from:7'"
    assert rules.words(post("")) == "'@from:7'"


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Größe THE", "('grosse') & ('the')"),
        ('"big world" -spam -"bad day"', "('big' <-> 'world') & !('spam') & !('bad' <-> 'day')"),
        ("don't", "('don' <-> 't')"),
        ("#Größe -#b1", "('#grosse') & !('#b1')"),
        ("#1", "('1')"),
        ("has:images -has:link is:reply", "('@has:image') & !('@has:link') & ('@is:reply')"),
        ("language:de-CH", "('@language:de')"),
        ("has:cheese foo:bar", "('has' <-> 'cheese') & ('foo' <-> 'bar')"),
        ("in:library word", "('word')"),
        ("from:@Ada from:me x", "('@from:2' | '@from:9') & ('x')"),
        ("-from:ada", "!'@from:2'"),
        ("-from:nobody x", "('x')"),
        ("日本語 日", "('日本' <-> '本語') & ('日':*)"),
        ("", ""),
        ("- : \" ' \\ ()&|!:*<->", ""),
    ],
)  # fmt: skip
def test_what_a_question_means(question: str, expected: str) -> None:
    assert query(question, ada=2, me=9) == expected


def test_names_that_nobody_has_match_nothing() -> None:
    assert query("from:nobody x") is None
    assert query("from:me x") is None  # a stranger's question
    assert query("from:nobody from:ada", ada=2) == "('@from:2')"


def test_one_author_alone() -> None:
    assert rules.ask(rules.read("from:ada x"), {"ada": 2}, Range(), 3) is None
    found = rules.ask(rules.read("x"), {}, Range(), 3)
    assert found is not None
    assert found.query == "('@from:3') & ('x')"


def day(text: str) -> int:
    return first_id(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("question", "above", "below"),
    [
        ("before:2026-03-05", 0, day("2026-03-05")),
        ("after:2026-03-05", day("2026-03-06") - 1, rules.ENDLESS),
        ("during:2026-03-05", day("2026-03-05") - 1, day("2026-03-06")),
        ("during:2026-12", day("2026-12-01") - 1, day("2027-01-01")),
        ("during:2026", day("2026-01-01") - 1, day("2027-01-01")),
        ("after:2025 before:2026-02 before:2027", day("2026-01-01") - 1, day("2026-02-01")),
        ("before:2026-02-30 during:9999", 0, rules.ENDLESS),  # no dates that there are, so words
        ("after:1969", 0, rules.ENDLESS),
    ],
)
def test_dates(question: str, above: int, below: int) -> None:
    found = asked(question)
    assert found is not None
    assert (found.above, found.below) == (max(above, 0), below)


def test_dates_that_exclude_each_other_match_nothing() -> None:
    assert asked("before:2026-01-01 after:2026-01-01") is None


def test_nothing_is_asked_by_nothing() -> None:
    assert rules.read(" - in:library ").nothing
    assert not rules.read("before:2026").nothing


@given(st.text(max_size=300))
def test_a_question_is_never_more_than_words_and_operators_of_ours(question: str) -> None:
    found = asked(question)
    assert found is not None or rules.read(question).by or rules.read(question).above
    lexeme = re.compile(r"'[^'\\]+'(?::\*)?")
    for part in (found.query, found.needed) if found is not None else ():
        assert re.fullmatch(r"[()!&|<\-> ]*", lexeme.sub("", part))


@given(st.text(max_size=200))
def test_any_word_that_is_indexed_is_found_by_itself(text: str) -> None:
    indexed = {each.partition("':")[0].strip("'") for each in rules.words(post(text)).split()}
    for term in rules.read(" ".join(regex.findall(r"[\p{L}\p{M}\p{N}]+", text))).needed:
        word = term.removesuffix(":*").strip("'")
        assert word in indexed or any(each.startswith(word) for each in indexed)


@given(st.text(max_size=100))
def test_folding_is_done_once(text: str) -> None:
    assert rules.fold(rules.fold(text)) == rules.fold(text)


def test_newer_matches_come_first_unless_older_ones_fit_much_better() -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC).timestamp()
    new, week, month = (first_id(now - days * 86_400) for days in (0, 7, 28))
    assert rules.order([Match(week, 0.1), Match(new, 0.1), Match(month, 0.1)], now) == [new, week, month]
    assert rules.order([Match(new, 0.1), Match(week, 0.3)], now) == [week, new]
    assert rules.order([Match(new, 0.0), Match(week, 0.0)], now) == [new, week]


def sample(**values: int | None) -> rules.Sample:
    usual: dict[str, int | None] = {"seen": 2000, "needed": 0, "rarest": 0, "fits": 0, "lowest": 1, "total": 1_000_000}
    return rules.Sample(**(usual | values))  # type: ignore[arg-type]


def test_the_index_is_asked_for_what_is_rare_alone() -> None:
    word, sentence = asked("word"), asked("a b c d e f")
    assert word is not None
    assert sentence is not None
    assert rules.worth_index(sample(), word)
    assert rules.worth_index(sample(needed=5, rarest=10, fits=5), word)
    assert not rules.worth_index(sample(needed=100, rarest=100, fits=80), word)  # enough among the newest
    assert not rules.worth_index(sample(needed=100, rarest=100), word)  # 50,000 to fetch
    assert rules.worth_index(sample(needed=100, rarest=100, total=2000), word)
    assert not rules.worth_index(sample(rarest=100), sentence)  # common words that hardly meet
    assert not rules.worth_index(sample(rarest=None), word)  # nothing to look up


def test_what_is_asked_of_names() -> None:
    names = rules.read_names(" @Ad_a  100% Löve ")
    assert names is not None
    assert (names.patterns, names.prefix) == ([r"%ad\_a%", r"%100\%%", "%love%"], None)
    short = rules.read_names("bo")
    assert short is not None
    assert (short.anywhere, short.prefix) == (False, "bo")
    assert rules.read_names(" @ ") is None


def test_people_are_ordered_by_how_their_names_begin_and_who_is_followed() -> None:
    names = rules.read_names("ada")
    assert names is not None
    people = [
        Person(1, "granada x", 900, followed=True),
        Person(2, "adam smith", 5, followed=False),
        Person(3, "lovelace ada", 50, followed=False),
        Person(4, "adalbert", 1, followed=True),
        Person(5, "ada", 0, followed=False),
    ]
    assert rules.order_people(people, names) == [5, 4, 3, 2, 1]


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=5), st.text(st.characters(codec="utf-8"), max_size=5))
def test_what_is_past_a_prefix_is_behind_all_that_begins_so(prefix: str, rest: str) -> None:
    if not rest.startswith("\U0010ffff"):
        assert prefix <= prefix + rest < rules.past(prefix)
