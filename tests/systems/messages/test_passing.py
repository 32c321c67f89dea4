"""What is passed on to a device: in order, each once, within the window, whatever words are lost or doubled."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tenfold.systems.messages.rules.pace import Pace
from tenfold.systems.messages.rules.passing import Progress

WINDOW = 5


class Inbox(RuleBasedStateMachine):
    """A server with an inbox, words that may be lost or come twice, and a device behind `Progress`."""

    def __init__(self) -> None:
        super().__init__()
        self.progress = Progress(WINDOW)
        self.numbers = {1: 0, 2: 0}
        self.inbox: list[tuple[int, int]] = []
        self.words: list[tuple[int, int]] = []
        self.got: dict[int, list[int]] = {1: [], 2: []}
        self.acked = {1: 0, 2: 0}
        self.own: set[tuple[int, int]] = set()

    @rule(conversation=st.sampled_from([1, 2]), told=st.booleans())
    def a_message_comes(self, conversation: int, told: bool) -> None:
        self.numbers[conversation] += 1
        self.inbox.append((conversation, self.numbers[conversation]))
        if told:
            self.words.append(self.inbox[-1])

    @rule(conversation=st.sampled_from([1, 2]))
    def the_device_sends(self, conversation: int) -> None:
        self.numbers[conversation] += 1
        self.own.add((conversation, self.numbers[conversation]))
        self.progress.own(conversation, self.numbers[conversation])

    @precondition(lambda self: self.words)
    @rule(data=st.data(), again=st.booleans())
    def a_word_comes(self, data: st.DataObject, again: bool) -> None:
        place = data.draw(st.sampled_from(self.words))
        if not again:
            self.words.remove(place)
        if self.progress.word(*place):
            self.got[place[0]].append(place[1])

    @rule()
    def the_inbox_is_read(self) -> None:
        for conversation, seq in sorted(self.inbox):
            if self.progress.room <= 0:
                return
            if self.progress.row(conversation, seq):
                self.got[conversation].append(seq)

    @rule(conversation=st.sampled_from([1, 2]))
    def the_device_acknowledges(self, conversation: int) -> None:
        if self.got[conversation]:
            seq = self.got[conversation][-1]
            taken, _, honest = self.progress.ack({conversation: seq}, ())
            assert honest
            assert taken == {conversation: seq}
            self.acked[conversation] = seq
            self.inbox = [place for place in self.inbox if place[0] != conversation or place[1] > seq]

    @rule(conversation=st.sampled_from([1, 2]), ahead=st.integers(1, 5))
    def an_acknowledgement_is_forged(self, conversation: int, ahead: int) -> None:
        taken, _, honest = self.progress.ack({conversation: self.numbers[conversation] + ahead}, ())
        assert not honest
        assert not taken

    @invariant()
    def nothing_is_skipped_or_doubled(self) -> None:
        for conversation, got in self.got.items():
            assert got == sorted(set(got))
            waiting = {seq for place, seq in self.inbox if place == conversation}
            if got:  # whatever lies before what was passed on was passed on, or is the device's own
                assert {seq for seq in waiting if seq <= got[-1]} <= set(got)
                before = set(range(got[0], got[-1] + 1))
                assert before - set(got) <= {seq for place, seq in self.own if place == conversation}

    @invariant()
    def the_window_holds(self) -> None:
        out = sum(seq > self.acked[place] for place, got in self.got.items() for seq in got)
        assert out <= WINDOW
        assert self.progress.room == WINDOW - out

    def teardown(self) -> None:
        for _ in range(len(self.inbox) + 1):
            self.the_inbox_is_read()
            for conversation in (1, 2):
                self.the_device_acknowledges(conversation)
        assert not self.inbox
        for conversation, got in self.got.items():
            own = {seq for place, seq in self.own if place == conversation}
            assert sorted({*got, *own}) == list(range(1, self.numbers[conversation] + 1))


TestInbox = Inbox.TestCase


def test_notes_take_room_until_they_are_acknowledged() -> None:
    progress = Progress(2)
    assert [progress.note(each) for each in (7, 7, 8, 9)] == [True, False, True, None]
    assert progress.ack({}, [7, 99]) == ({}, [7], False)
    assert progress.note(9)


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0.1, 20)), max_size=50))
def test_nobody_who_waits_as_told_goes_faster_than_the_rate(steps: list[tuple[float, float]]) -> None:
    now, total = 0.0, 0.0
    pace = Pace(10, 20, now)
    for pause, cost in steps:
        now += pause
        total += cost
        now += pace.take(cost, now)
        assert total <= 20 + 10 * now + 1e-6
