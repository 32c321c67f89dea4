"""Which number a message gets: the next of its conversation, once for each id, and only for whoever may send."""

from hypothesis import given
from hypothesis import strategies as st

from tenfold.platform.errors import TenfoldError
from tenfold.systems.messages.errors import ContentMissing, ConversationNotFound, IdTaken, StaleMembers
from tenfold.systems.messages.rules.numbering import check, name_of, number, recipients
from tenfold.systems.messages.types import Members, Place, Sealed, SentRow, Stored

DIRECT, GROUP = Place(1, "direct", 3, 40), Place(2, "group", 3, 0)
MEMBERS = Members(frozenset({100, 200}), {11: 100, 12: 100, 21: 200}, frozenset())
SEALED = (1, "body")


def sealed(name: str, conversation_id: int = 1, **changes: object) -> Sealed:
    values: dict[str, object] = {
        "conversation_id": conversation_id,
        "account_id": 100,
        "device_id": 11,
        "id": name,
        "revision": 3,
        "content": None if conversation_id == 1 else "x",
        "envelopes": {12: SEALED, 21: SEALED},
    }
    return Sealed(**{**values, **changes})  # type: ignore[arg-type]


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.integers(0, 8)), max_size=60), st.sets(st.integers(0, 8)))
def test_numbers_have_no_gaps_and_an_id_has_one(asked: list[tuple[int, int]], before: set[int]) -> None:
    sent = {(1, 11, str(each)): SentRow(1, 11, str(each), 40 - each, 5) for each in before}
    messages = [sealed(str(name), place) for place, name in asked]
    outcomes = number(messages, {1: DIRECT, 2: GROUP}, {1: MEMBERS, 2: MEMBERS}, sent, 1000)
    for place in (DIRECT, GROUP):
        new = [
            o.seq
            for o, m in zip(outcomes, messages, strict=True)
            if isinstance(o, Stored) and o.new and m.conversation_id == place.id
        ]
        assert new == list(range(place.last_seq + 1, place.last_seq + 1 + len(new)))
    by_name: dict[object, int] = {}
    for outcome, message in zip(outcomes, messages, strict=True):
        assert isinstance(outcome, Stored)
        assert by_name.setdefault(name_of(message), outcome.seq) == outcome.seq


def test_who_may_not_send_is_told_why() -> None:
    def why(message: Sealed, place: Place | None = DIRECT, members: Members | None = MEMBERS) -> type | None:
        refused = check(message, place, members)
        return None if refused is None else type(refused)

    assert why(sealed("a")) is None
    assert why(sealed("a"), None, None) is ConversationNotFound
    assert why(sealed("a", account_id=300, device_id=31)) is ConversationNotFound
    assert why(sealed("a", revision=2)) is StaleMembers
    assert why(sealed("a", envelopes={21: SEALED})) is StaleMembers  # one's own other device is left out
    assert why(sealed("a", envelopes={12: SEALED, 21: SEALED, 99: SEALED})) is StaleMembers
    assert why(sealed("a", device_id=99)) is StaleMembers  # the sender's device isn't counted yet
    assert why(sealed("a", device_id=21)) is StaleMembers  # nor may it be another's
    assert why(sealed("a", 2, envelopes={}), GROUP) is None
    assert why(sealed("a", 2, content=None), GROUP) is ContentMissing
    assert why(sealed("a", 2, envelopes={99: SEALED}), GROUP) is StaleMembers


def test_the_revision_of_now_is_told() -> None:
    refused = check(sealed("a", revision=2), DIRECT, MEMBERS)
    assert isinstance(refused, TenfoldError)
    assert refused.values == {"revision": 3}


def test_a_notes_id_is_no_messages() -> None:
    sent = {(1, 11, "a"): SentRow(1, 11, "a", 0, 5)}
    (outcome,) = number([sealed("a")], {1: DIRECT}, {1: MEMBERS}, sent, 1000)
    assert isinstance(outcome, IdTaken)


def test_who_blocks_gets_nothing_but_ones_own_devices_do() -> None:
    blocked = Members(MEMBERS.account_ids, MEMBERS.devices, frozenset({200, 100}))
    assert recipients(sealed("a"), blocked) == {12: 100}
    assert recipients(sealed("a"), MEMBERS) == {12: 100, 21: 200}
