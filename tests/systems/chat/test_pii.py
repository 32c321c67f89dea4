"""Personal data and secrets: what is found, what is not, and that a stream is redacted as the whole is."""

import itertools
import runpy
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tenfold.systems.chat.rules import pii

TRAIN = Path(__file__).parents[3] / "train/chat"
KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEowIBAAKCAQEAx7Vv0abcdefghijklmnopqrstuvwxyz012345678\n" * 3
KEY += "MIIEowIBAAKCAQ==\n-----END RSA PRIVATE KEY-----"
#: What may stand beside each other, or be cut in two.
FRAGMENTS = [
    "jane@example.org",
    "+44 20 7946 0958",
    "(415) 555-0132",
    "call 020 7946 0018",
    "4111 1111 1111 1111",
    "378282246310005",
    "DE89 3704 0044 0532 0130 00",
    "SSN 536-90-4399",
    "NHS 943 476 5919",
    "AB 12 34 56 C",
    "born on 3 March 1990",
    "born March 3rd, 1990",
    "DOB: 1985-07-14",
    "81.2.69.142",
    "2001:470:1f0b::5",
    "AKIAIOSFODNN7EXAMPLE",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
    "postgres://bob:hunter2@db.example.org/x",
    KEY,
    KEY[:100],
    "-----BEGIN",
    "-----BEGIN PRIVATE KEY-----",
    "-----END RSA PRIVATE KEY-----",
    *(
        "4111",
        "1111",
        "GB29",
        "NWBK",
        "AB",
        "12",
        "C",
        "of",
        "de",
        "March",
        "1990",
        "born",
        "x",
        "@",
        "+",
        "(",
        ")",
        "-",
    ),
    *(" ", " ", " ", "  ", "\n", ".", ",", "\u00a0", "\u4f60", "\u00e9"),
]
TEXTS = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=6), max_size=14).map("".join)


@given(TEXTS, st.lists(st.integers(0, 400), max_size=12))
@example("4111 1111 1111 1111 x", [4, 5, 9, 19])
@example(KEY + " done", [5, 20, 31, 90, 200])
@example("born on 3 March 1990", [9, 11, 13, 19])
def test_a_stream_is_redacted_as_the_whole_is(text: str, cuts: list[int]) -> None:
    redactor = pii.Redactor()
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[start:end] for start, end in itertools.pairwise(places)]
    shown = "".join(redactor.feed(piece) for piece in pieces) + redactor.end()
    assert shown == pii.redact(text).text


@given(TEXTS)
def test_findings_are_in_order_and_none_over_another(text: str) -> None:
    end = 0
    for each in pii.find(text):
        assert end <= each.start < each.end <= len(text)
        assert 0 < each.score <= 1
        end = each.end


def test_on_labelled_texts_it_finds_what_is_there_and_little_else() -> None:
    precision, recall, count, wrong = runpy.run_path(str(TRAIN / "pii.py"))["judged"]()
    assert count > 60
    assert precision >= 0.97, wrong
    assert recall >= 0.97, wrong


def test_the_same_value_has_the_same_placeholder() -> None:
    text = "a@x.org, b@x.org, A@X.ORG; 4111 1111 1111 1111 and 4111111111111111"
    assert pii.redact(text).text == "[EMAIL_1], [EMAIL_2], [EMAIL_1]; [CARD_1] and [CARD_1]"


def test_guesses_are_found_and_not_redacted() -> None:
    text = "ping 192.168.0.17"
    assert [(each.kind, each.score < pii.SURE) for each in pii.find(text)] == [("ip", True)]
    assert pii.redact(text).text == text


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",
        "DE00 3704 0044 0532 0130 01",
        "DNI 54362315A",
        "CPF 390.533.447-06",
        "born in 1990, founded on 3 March 1990. The end.",
        "she was born in 1990",
        "the wall fell on 9 November 1989",
        "-----BEGIN CERTIFICATE-----",
        "v1.2.3.4",
        "eyJhbGci.eyJzdWIi.abc",
    ],
)
def test_what_fails_its_check_is_left_alone(text: str) -> None:
    found = {each.kind for each in pii.find(text) if each.score >= pii.SURE}
    assert not found - {"phone"}


def test_prose_is_held_back_by_a_word_at_most() -> None:
    redactor = pii.Redactor()
    text = "The quick brown fox jumps over the lazy dog and then some more"
    shown = ""
    for at, character in enumerate(text, 1):
        shown += redactor.feed(character)
        assert at - len(shown) <= len("quick ")
    assert shown + redactor.end() == text


@pytest.mark.parametrize(
    ("number", "after"), [("1990 ", "there was peace. "), ("4111 1111 1111 1111 ", "is it. "), (KEY, " that was it. ")]
)
def test_nothing_is_held_back_once_it_is_clear(number: str, after: str) -> None:
    redactor = pii.Redactor()
    assert redactor.feed(number + after).endswith(after[-9:])


def test_a_text_beyond_the_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="more than"):
        pii.find("x" * (pii.MOST + 1))


@pytest.mark.parametrize("piece", ["1 ", "a@", "-----BEGIN PRIVATE KEY-----", "a", "4111 ", "eyJ."])
def test_what_is_kept_of_a_stream_stays_small(piece: str) -> None:
    redactor = pii.Redactor()
    for _ in range(300):
        redactor.feed(piece * 100)
        assert len(redactor._text) < pii.MOST_KEY + pii.MOST_WORD + len(piece) * 100
