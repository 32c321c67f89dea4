"""The queue before the models: slots are kept to, turns are fair, and nobody is forgotten."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest

from tenfold.platform.bus import Bus, open_bus
from tenfold.platform.hot import Hot, open_hot
from tenfold.platform.inference import InferenceBusy
from tenfold.platform.inference import slots as module
from tenfold.platform.inference.slots import Lease, Seat, Slots
from tenfold.platform.settings import Settings

ONE = [Seat("a", 1, 1.0)]
TWO = [Seat("a", 2, 1.0), Seat("b", 2, 1.0)]


@pytest.fixture
async def hot(settings: Settings) -> AsyncIterator[Hot]:
    hot = await open_hot(settings, f"test{secrets.token_hex(4)}")
    yield hot
    await hot.close()


@pytest.fixture
async def bus(settings: Settings) -> AsyncIterator[Bus]:
    bus = await open_bus(settings)
    yield bus
    await bus.close()


@pytest.fixture
async def slots(hot: Hot, bus: Bus) -> AsyncIterator[Slots]:
    slots = Slots(hot, bus, most=100, each=50)
    await slots.open()
    yield slots
    await slots.close()


async def granted(slots: Slots, lease: Lease, seats: list[Seat]) -> str:
    async with asyncio.timeout(10):
        while (replica := await slots.wait(lease, seats)) is None:
            pass
    return replica


async def end(slots: Slots, lease: Lease, seats: list[Seat]) -> None:
    slots.free(lease, seats)
    await slots.settle()


async def test_a_replica_works_on_as_many_requests_as_it_has_slots(slots: Slots) -> None:
    leases = [await slots.take("fast", TWO, "somebody", "") for _ in range(6)]
    at = [lease.granted.result() if lease.granted.done() else None for lease in leases]
    assert sorted(each for each in at if each) == ["a", "a", "b", "b"]
    assert [lease.place for lease in leases[4:]] == [1, 2]
    await end(slots, leases[0], TWO)
    assert await granted(slots, leases[4], TWO) == leases[0].granted.result()
    assert not leases[5].granted.done()
    assert await slots.wait(leases[5], TWO) is None
    assert leases[5].place == 1


async def test_somebody_with_many_requests_delays_others_by_one(slots: Slots) -> None:
    working = await slots.take("fast", ONE, "greedy", "")
    many = [await slots.take("fast", ONE, "greedy", "") for _ in range(5)]
    modest = await slots.take("fast", ONE, "modest", "")
    order: list[Lease] = []
    waiting = [*many, modest]
    while waiting:
        await end(slots, order[-1] if order else working, ONE)
        done = [lease for lease in waiting if lease.granted.done()]
        assert len(done) == 1
        order += done
        waiting.remove(done[0])
    assert order.index(modest) == 1
    assert [lease for lease in order if lease is not modest] == many


async def test_a_conversation_goes_back_to_the_replica_that_had_it(slots: Slots) -> None:
    first = await slots.take("fast", TWO, "somebody", "")
    talk = await slots.take("fast", TWO, "somebody", "talk")
    home = talk.granted.result()
    assert {first.granted.result(), home} == {"a", "b"}  # the least busy
    await end(slots, talk, TWO)
    more = [await slots.take("fast", TWO, "somebody", "") for _ in range(1)]
    again = await slots.take("fast", TWO, "somebody", "talk")
    assert again.granted.result() == home
    crowd = [await slots.take("fast", TWO, "somebody", "talk") for _ in range(1)]
    assert crowd[0].granted.result() in {"a", "b"}  # better elsewhere at once than here later
    assert more


async def test_the_queue_is_bounded(hot: Hot, bus: Bus) -> None:
    slots = Slots(hot, bus, most=1, each=1)
    await slots.open()
    await slots.take("fast", ONE, "a", "")
    await slots.take("fast", ONE, "b", "")
    with pytest.raises(InferenceBusy):
        await slots.take("fast", ONE, "c", "")
    await slots.close()


async def test_one_caller_cannot_fill_the_queue(hot: Hot, bus: Bus) -> None:
    slots = Slots(hot, bus, most=10, each=2)
    await slots.open()
    working = await slots.take("fast", ONE, "a", "")
    waiting = [await slots.take("fast", ONE, "a", "") for _ in range(2)]
    with pytest.raises(InferenceBusy):
        await slots.take("fast", ONE, "a", "")
    assert (await slots.take("fast", ONE, "b", "")).place == 2  # before the second of who has waited longer
    await end(slots, working, ONE)
    assert waiting[0].granted.result() == "a"
    await slots.take("fast", ONE, "a", "")
    await end(slots, waiting[1], ONE)
    await slots.take("fast", ONE, "a", "")
    with pytest.raises(InferenceBusy):
        await slots.take("fast", ONE, "a", "")
    await slots.close()


async def test_what_comes_together_goes_together(slots: Slots) -> None:
    leases = await asyncio.gather(*(slots.take("fast", TWO, f"caller {n}", f"talk {n}") for n in range(100)))
    assert sorted(lease.place for lease in leases) == [0, 0, 0, 0, *range(1, 97)]
    assert sum(lease.granted.done() for lease in leases) == 4


async def test_who_leaves_while_asking_holds_nothing(slots: Slots) -> None:
    for _ in range(20):
        asking = asyncio.create_task(slots.take("fast", ONE, "a", ""))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        gone = asyncio.create_task(slots.take("fast", ONE, "a", ""))
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
    await slots.settle()
    lease = await slots.take("fast", ONE, "b", "")
    assert lease.granted.result() == "a"
    await end(slots, lease, ONE)


async def test_another_process_is_told_of_its_slot(hot: Hot, bus: Bus, slots: Slots) -> None:
    other = Slots(hot, bus, most=100, each=50)
    await other.open()
    mine = await slots.take("fast", ONE, "a", "")
    theirs = await other.take("fast", ONE, "b", "")
    assert theirs.place == 1
    await end(slots, mine, ONE)
    async with asyncio.timeout(5):
        assert await theirs.granted == "a"
    await other.close()


async def test_slots_of_a_process_that_died_are_free_again(
    hot: Hot, bus: Bus, slots: Slots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LIFE", 0.2)
    dead = Slots(hot, bus, most=100, each=50)  # never opened, so it renews nothing
    await dead.take("fast", ONE, "a", "")
    monkeypatch.setattr(module, "LIFE", 15.0)
    waiting = await slots.take("fast", ONE, "b", "")
    assert await granted(slots, waiting, ONE) == "a"


async def test_a_waiting_request_gets_a_replica_that_comes_back(slots: Slots) -> None:
    lease = await slots.take("fast", [], "a", "")
    assert lease.place == 1
    assert await granted(slots, lease, ONE) == "a"


async def test_who_leaves_the_queue_is_out_of_it(slots: Slots) -> None:
    working = await slots.take("fast", ONE, "a", "")
    first, second = [await slots.take("fast", ONE, each, "") for each in ("b", "c")]
    await end(slots, first, ONE)
    await end(slots, working, ONE)
    assert await granted(slots, second, ONE) == "a"
