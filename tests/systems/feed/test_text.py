"""What a post says: its length, whom and what it names, and its HTML, which nothing that was written can break."""

from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tenfold.systems.feed.rules import text as rules
from tenfold.systems.feed.types import Mention

HERE = "https://social.example/feed"
PEOPLE = [Mention(1, "Ada_L"), Mention(2, "bob")]

# Text that is likely to hold what stands out, and what could break out.
PIECES = st.sampled_from([
    "@ada_l", "@BOB", "@nobody", "@bob@example.org", "#tag", "#1", "#Größe", "#हिन्दी", "#東京", "https://example.com",
    "http://example.com/a(b)c", "https://例え.jp/路", "<script>", '"', "'", "&amp;", "&", "\n", "\n\n", "\r\n", " ",
    ".", ")", "\u2028", "javascript:alert(1)", "https://a@b.example/", "\u202e", "\0", "👨‍👩‍👧‍👦", "e\u0301", "🇨🇭",
])  # fmt: skip
TEXTS = st.one_of(st.text(max_size=200), st.lists(st.one_of(PIECES, st.text(max_size=5)), max_size=30).map("".join))


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("", 0),
        ("hello", 5),
        ("a\r\nb", 3),
        ("e\u0301te\u0301", 3),  # decomposed letters
        ("👨‍👩‍👧‍👦👍🏽", 2),  # a family, and a hand with a skin tone
        ("🇨🇭🇩🇪", 2),
        ("क्षि", 1),  # a conjunct
        ("각", 1),  # Hangul that was taken apart
        ("see https://example.com/" + "a" * 300 + ".", 4 + 23 + 1),
        ("http://a.co", 23),
        ("@bob@example.org hi", len("@bob hi")),
        ("https://user:pw@example.com", len("https://user:pw@example.com")),  # no link, so as it is
        ("x" + "\u0301" * 1599, 100),  # more signs on a letter than any script has
    ],
)
def test_length_is_what_readers_see(text: str, length: int) -> None:
    assert rules.count(text) == length


def test_a_link_counts_as_much_as_one_wishes() -> None:
    assert rules.count("https://example.com/long/path", url_characters=5) == 5


@given(TEXTS, TEXTS)
def test_length_is_bounded_by_code_points_and_the_other_way_round(one: str, other: str) -> None:
    assert rules.count(one + "\n" + other) <= len(one) + 1 + len(other) + 23 * (one + other).count("://")
    assert len(one) <= max(rules.count(one) * rules.MOST_URL, 0)


def test_flags_in_a_row_are_counted_in_pairs_as_anywhere() -> None:
    assert rules.count("🇨🇭" * 20_000) == 20_000  # and in linear time
    assert rules.count("🇨🇭🇩") == 2


@pytest.mark.parametrize(
    ("text", "mentions", "tags"),
    [
        ("@Ada_L and @bob, @bob.", ["ada_l", "bob"], []),
        (".@bob @bobさん (@bob)", ["bob"], []),
        ("ada@bob.example @ada@bob.example /@ada =@ada", [], []),
        ("#Tag #tag #TAG other #x_1", [], ["Tag", "x_1"]),
        ("#123 # #- a#b /#c &#39; #_", [], []),
        ("#1a #हिन्दी #東京。#Größe!", [], ["1a", "हिन्दी", "東京", "Größe"]),
        ("https://example.com/@ada#tag @bob", ["bob"], []),
        ("@" + "a" * 65, [], []),
        ("#" + "a" * 101, [], []),
    ],
)
def test_names(text: str, mentions: list[str], tags: list[str]) -> None:
    assert rules.read(text) == rules.Reading(mentions, tags)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("(https://example.com).", "https://example.com"),
        ("https://en.wikipedia.org/wiki/Foo_(bar)!", "https://en.wikipedia.org/wiki/Foo_(bar)"),
        ("(see https://example.com/a_(b))", "https://example.com/a_(b)"),
        ("https://example.comです", "https://example.com"),
        ("http://localhost:8080/feed/@bob?x=1#y,", "http://localhost:8080/feed/@bob?x=1#y"),
        ('"https://example.com/"', "https://example.com/"),
        ("https://пример.рф/путь", "https://пример.рф/путь"),
        ("HTTPS://EXAMPLE.COM", "HTTPS://EXAMPLE.COM"),
        ("ftp://example.com", None),
        ("https://user:pw@example.com/", None),
        ("https://example", None),
        ("xhttps://example.com", None),
        ("https://example.com/" + "a" * 2048, None),
    ],
)
def test_where_a_link_ends(text: str, address: str | None) -> None:
    found = Read(rules.to_html(text, [], HERE)).links
    assert found == ([] if address is None else [address])
    assert rules.has_link(text) == (address is not None)


def test_html_is_as_clients_know_it() -> None:
    text = 'Hi @bob & @nobody\nread https://www.example.com/a/long/path/to/something?x="1\r\n\r\n#Größe'
    assert rules.to_html(text, PEOPLE, HERE) == (
        '<p>Hi <span class="h-card" translate="no"><a href="https://social.example/feed/@bob" class="u-url mention">'
        "@<span>bob</span></a></span> &amp; @nobody<br />read "
        '<a href="https://www.example.com/a/long/path/to/something?x=" target="_blank" '
        'rel="nofollow noopener noreferrer" translate="no"><span class="invisible">https://www.</span>'
        '<span class="ellipsis">example.com/a/long/path/to/som</span><span class="invisible">ething?x=</span></a>'
        "&quot;1</p><p>"
        '<a href="https://social.example/feed/tags/gr%C3%B6%C3%9Fe" class="mention hashtag" rel="tag">'
        "#<span>Größe</span></a></p>"
    )
    assert rules.to_html("", [], HERE) == ""


ALLOWED = {
    "p": set[str](),
    "span": {"class", "translate"},
    "a": {"href", "class", "rel", "target", "translate"},
}


class Read(HTMLParser):
    """HTML as browsers read it: its text, the links that lead elsewhere, and a failure for whatever isn't allowed."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.links: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert {name for name, _ in attrs} <= ALLOWED[tag]
        values = dict(attrs)
        if tag == "a":
            address = values["href"] or ""
            assert address.lower().startswith(("http://", "https://"))
            if values.get("rel") == "nofollow noopener noreferrer":
                self.links.append(address)
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert (tag, attrs) == ("br", [])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


@given(TEXTS)
@example("<!--")
@example("<![CDATA[")
@example("&lt;b&gt;")
@example("https://example.com/'onmouseover=alert(1)")
def test_html_has_only_what_is_allowed_and_says_what_was_written(text: str) -> None:
    text = rules.tidy(text)
    read = Read(rules.to_html(text, PEOPLE, HERE))
    # But for blanks between paragraphs and how the names of people are written, nothing is added or lost.
    shown, written = ("".join(each.split()).casefold() for each in (read.text, text.replace("\uff03", "#")))
    assert shown == written


@given(TEXTS)
def test_tidying_is_done_once(text: str) -> None:
    tidy = rules.tidy(text)
    assert rules.tidy(tidy) == tidy
    assert not set(tidy) & {"\0", "\r", "\u2028", "\ud800"}


@given(TEXTS)
def test_what_is_named_is_named_again_by_its_name_alone(text: str) -> None:
    reading = rules.read(text)
    for tag in reading.tags:
        assert rules.read(f"#{tag}").tags == [tag]
    for name in reading.mentions:
        assert rules.read(f"@{name}").mentions == [name]
