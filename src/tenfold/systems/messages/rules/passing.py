"""What may be passed on to a device over its connection: in order, each once, and never more than it acknowledges."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping


class Progress:
    """How far a connection has got in each conversation. Pure state: it decides, and somebody else reads and sends.

    A word says that a message is there; a row is a message read from the inbox, which holds all that is unacknowledged.
    Words may be lost, doubled or late; rows can't be, and come in the order of their numbers.
    """

    def __init__(self, window: int) -> None:
        #: Messages and notes that may be on their way.
        self._room = window
        self._last: dict[int, int] = {}
        #: Numbers of messages that this device has sent itself, which have no row, beyond the last passed.
        self._own: dict[int, set[int]] = {}
        self._out: dict[int, list[int]] = {}
        self._notes: set[int] = set()

    @property
    def room(self) -> int:
        """How many more may be sent before something is acknowledged."""
        return self._room

    def word(self, conversation_id: int, seq: int) -> bool | None:
        """Whether to pass on a message of which a word came: True, False where it was passed on already.

        None: something before it is missing, or there is no room. Then the inbox is to be read.
        """
        last = self._last.get(conversation_id)
        if last is None or seq > last + 1:
            return None
        if seq <= last:
            return False
        if self._room <= 0:
            return None
        self._pass(conversation_id, seq)
        return True

    def row(self, conversation_id: int, seq: int) -> bool:
        """Whether to pass on a row of the inbox: not if it was already. There must be room."""
        if seq <= self._last.get(conversation_id, 0):
            return False
        self._pass(conversation_id, seq)
        return True

    def note(self, note_id: int) -> bool | None:
        """Whether to pass on a note; None without room."""
        if note_id in self._notes:
            return False
        if self._room <= 0:
            return None
        self._notes.add(note_id)
        self._room -= 1
        return True

    def own(self, conversation_id: int, seq: int) -> None:
        """This device has sent a message that got this number."""
        last = self._last.get(conversation_id)
        if last is None or seq > last:
            self._own.setdefault(conversation_id, set()).add(seq)
            self._absorb(conversation_id)

    def ack(self, seen: Mapping[int, int], notes: Iterable[int]) -> tuple[dict[int, int], list[int], bool]:
        """What of that which a device acknowledges was passed on to it; and whether that was all."""
        taken: dict[int, int] = {}
        honest = True
        for conversation_id, seq in seen.items():
            if seq > self._last.get(conversation_id, 0):
                honest = False
                continue
            taken[conversation_id] = seq
            out = self._out.get(conversation_id)
            if out:
                done = bisect_right(out, seq)
                self._room += done
                if done == len(out):
                    del self._out[conversation_id]
                else:
                    del out[:done]
        gone = []
        for note_id in notes:
            if note_id in self._notes:
                self._notes.discard(note_id)
                self._room += 1
                gone.append(note_id)
            else:
                honest = False
        return taken, gone, honest

    def _pass(self, conversation_id: int, seq: int) -> None:
        self._last[conversation_id] = seq
        self._out.setdefault(conversation_id, []).append(seq)
        self._room -= 1
        if conversation_id in self._own:
            self._absorb(conversation_id)

    def _absorb(self, conversation_id: int) -> None:
        """Numbers of one's own that follow what was passed on leave no gap."""
        own, last = self._own[conversation_id], self._last.get(conversation_id)
        if last is None:
            return
        while last + 1 in own:
            last += 1
        self._last[conversation_id] = last
        left = {seq for seq in own if seq > last}
        if left:
            self._own[conversation_id] = left
        else:
            del self._own[conversation_id]
