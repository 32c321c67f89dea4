"""Decisions about jobs: who is next, how long it will take, when a failure comes back."""

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from tenfold.platform.errors import BadRequest, Conflict, Invalid, NotFound, TenfoldError, TooManyRequests, Unavailable
from tenfold.platform.jobs import rules


@dataclass
class Waits:
    id: int
    priority: int
    turn: int
    waited: float
    account: int = 0


def submit(
    queue: list[Waits],
    id: int,
    account: int,
    priority: int = 2,
    waited: float = 0.0,
    begun: Sequence[Waits] = (),
) -> None:
    """As the store does, of those that wait and those that have `begun`."""
    waiting, begun = ([each for each in jobs if each.priority == priority] for jobs in (queue, begun))
    first = min((each.turn for each in waiting), default=max((each.turn for each in begun), default=None))
    own = max((each.turn for each in (*waiting, *begun) if each.account == account), default=None)
    queue.append(Waits(id, priority, rules.next_turn(first, own), waited, account))


@given(st.lists(st.one_of(st.integers(0, 4), st.none()), max_size=120))
def test_nobody_who_waits_is_passed_by_another_account_more_than_once_for_each_of_their_own_turns(
    happenings: list[int | None],
) -> None:
    """Numbers submit a job for that account, None takes the next one. One's own turns are also the last that began."""
    queue, begun = list[Waits](), list[Waits]()
    # For each that waits: how many of its own account were before it, and who has gone ahead since.
    before: dict[int, int] = {}
    passed: dict[int, list[int]] = {}
    for number, what in enumerate(happenings):
        if what is not None:
            before[number] = sum(each.account == what for each in queue)
            submit(queue, number, what, begun=begun)
            passed[number] = []
        elif queue:
            taken = rules.in_order(queue, 300.0)[0]
            queue.remove(taken)
            begun.append(taken)
            for each in queue:
                passed[each.id].append(taken.account)
            own = passed.pop(taken.id)
            for account in range(5):
                if account != taken.account:
                    assert own.count(account) <= before[taken.id] + 2


@given(st.integers(1, 100), st.integers(0, 99))
def test_one_job_waits_for_two_of_a_hundred_at_most(many: int, begun: int) -> None:
    queue: list[Waits] = []
    for number in range(many):
        submit(queue, number, account=1)
    for _ in range(min(begun, many - 1)):
        queue.remove(rules.in_order(queue, 300.0)[0])
    submit(queue, 1000, account=2)
    assert [each.id for each in rules.in_order(queue, 300.0)].index(1000) <= 1


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=30, unique=True))
def test_a_higher_priority_goes_first_unless_a_lower_one_has_aged(jobs: list[tuple[int, int]]) -> None:
    queue = [Waits(number, priority, turn, 0.0) for number, (priority, turn) in enumerate(jobs)]
    order = rules.in_order(queue, 300.0)
    assert order == sorted(queue, key=lambda each: (-each.priority, each.turn, each.id))
    lowest = min(order, key=lambda each: (each.priority, each.turn, each.id))
    lowest.waited = 3 * 300.0 + 1
    assert rules.in_order(queue, 300.0)[0] is lowest


def test_no_priority_starves() -> None:
    """A queue in which a high job arrives for each that is taken, once a second, and one background job."""
    queue = [Waits(0, 0, 0, 0.0)]
    for second in range(1, 2000):
        submit(queue, second, account=second % 7, priority=3)
        for each in queue:
            each.waited += 1
        taken = rules.in_order(queue, 300.0)[0]
        queue.remove(taken)
        if taken.id == 0:
            assert 900 <= second <= 910
            return
    raise AssertionError("it never began")


@given(
    rate=st.floats(0.01, 1000),
    times=st.lists(st.floats(0.25, 20), min_size=2, max_size=20),
    remaining=st.floats(0.1, 1e6),
)
def test_at_a_steady_rate_the_estimate_is_right(rate: float, times: list[float], remaining: float) -> None:
    samples, now = [(0.0, 0.0)], 0.0
    for step in times:
        now += step
        samples = [*rules.recent(samples, now), (now, now * rate)]
    left = rules.left(samples, now * rate + remaining)
    assert left is not None
    assert abs(left - remaining / rate) <= 1e-6 * (1 + left)
    assert len(samples) >= 2
    assert samples[1][0] >= now - rules.RECENT - 1e-9, "one sample at most is older than what counts"


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(-1e6, 1e6)), max_size=5), st.none() | st.floats(0, 1e6))
def test_an_estimate_is_never_negative_and_never_breaks(
    samples: list[tuple[float, float]], total: float | None
) -> None:
    left = rules.left(samples, total)
    assert left is None or left >= 0
    if total is None or len(samples) < 2:
        assert left is None


@given(st.integers(1, 10_000), st.floats(0.01, 100), st.floats(0, 1))
def test_failures_come_back_later_and_later_up_to_a_bound(failures: int, base: float, luck: float) -> None:
    delay = rules.backoff(failures, base, luck)
    assert 0 < delay <= rules.MOST_BACKOFF
    assert delay >= min(base * 2.0 ** min(failures - 1, 60), rules.MOST_BACKOFF) / 2
    assert rules.backoff(failures + 1, base, luck) >= delay


@given(st.integers(0, 1000), st.integers(0, 50), st.floats(0, 1e4))
def test_who_is_further_back_begins_later(ahead: int, running: int, seconds: float) -> None:
    here, behind = rules.wait(ahead, running, seconds), rules.wait(ahead + 1, running, seconds)
    assert here is not None
    assert behind is not None
    assert 0 <= here <= behind
    assert rules.wait(0, 0, None) == 0.0
    assert rules.wait(1, running, None) is None


def test_what_a_person_asked_for_in_vain_fails_at_once() -> None:
    final = [Invalid(fields={"file": "is empty"}), NotFound(), BadRequest(reason="no")]
    passing = [TooManyRequests(retry_after=1), Conflict(), Unavailable(part="It"), TenfoldError(), ValueError()]
    assert all(map(rules.is_final, final))
    assert not any(map(rules.is_final, passing))
