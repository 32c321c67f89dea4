"""A/B tests on a collection: its owner begins and ends them, each question takes a variant, outcomes decide."""

from datetime import UTC, datetime

import msgspec

from tenfold.platform.errors import Invalid
from tenfold.platform.identity import Principal
from tenfold.platform.identity.rules import read_id
from tenfold.platform.runtime import Runtime
from tenfold.systems.answers.actions.context import Answers
from tenfold.systems.answers.errors import CollectionNotFound, ExperimentNotFound, ExperimentRunning
from tenfold.systems.answers.rules import experiments as rules
from tenfold.systems.answers.rules import significance
from tenfold.systems.answers.rules.significance import Sample
from tenfold.systems.answers.store import experiments as store
from tenfold.systems.answers.types.evaluation import Pipeline
from tenfold.systems.answers.types.experiments import Analysis, BeginExperiment, Experiment, Experiments

_LAST = (1 << 63) - 1


class Chosen(msgspec.Struct, frozen=True):
    """How a question is to be answered, and what its row says of that; nothing where no experiment runs."""

    pipeline: Pipeline
    label: str = ""


async def choose(runtime: Runtime, collection_id: int, account_id: int, conversation_id: int) -> Chosen:
    """The variant that a question takes: that of its conversation or of who asks, always the same one."""
    async with runtime.db.read() as tx:
        experiment = await store.find_running(tx, collection_id)
    if experiment is None:
        return Chosen(Pipeline())
    unit = str(account_id if experiment.unit == "account" else conversation_id)
    variant = rules.assigned(int(experiment.id), unit, experiment.variants)
    return Chosen(variant.pipeline, rules.label(experiment.id, variant.name))


async def begin(answers: Answers, wish: BeginExperiment, principal: Principal) -> Experiment:
    """Begin an experiment on a collection of one's own. Raises Invalid, CollectionNotFound, ExperimentRunning."""
    account_id = principal.require("answers")
    collection_id = _collection_id(wish.collection_id)
    names = [each.name for each in wish.variants]
    if len({*names}) < len(names):
        raise Invalid(fields={"variants": "have names of their own"})
    if wish.base + wish.change > 1:
        raise Invalid(fields={"change": "leads beyond 1 from the base"})
    number = answers.runtime.ids.next()
    experiment = Experiment(
        id=str(number),
        collection_id=str(collection_id),
        name=wish.name,
        unit=wish.unit,
        metric=wish.metric,
        variants=wish.variants,
        needed=significance.needed(wish.base, wish.change),
        begun_at=datetime.now(UTC),
    )
    async with answers.runtime.db.transaction() as tx:
        if not await store.owns(tx, account_id, collection_id):
            raise CollectionNotFound
        if not await store.insert_experiment(tx, collection_id, number, experiment):
            raise ExperimentRunning
    return experiment


async def list_experiments(
    answers: Answers, collection: str, principal: Principal, before: int | None, limit: int
) -> Experiments:
    """Experiments of a collection of one's own, the newest first. Raises CollectionNotFound."""
    account_id, collection_id = principal.require("answers"), _collection_id(collection)
    async with answers.runtime.db.read() as tx:
        if not await store.owns(tx, account_id, collection_id):
            raise CollectionNotFound
        found = await store.list_experiments(tx, collection_id, _LAST if before is None else before, limit + 1)
    return Experiments(found[:limit], found[limit - 1].id if len(found) > limit else None)


async def analyse(answers: Answers, collection: str, experiment_id: int, principal: Principal) -> Analysis:
    """What an experiment says so far. Raises CollectionNotFound, ExperimentNotFound."""
    account_id, collection_id = principal.require("answers"), _collection_id(collection)
    async with answers.runtime.db.read() as tx:
        if not await store.owns(tx, account_id, collection_id):
            raise CollectionNotFound
        experiment = await store.find_experiment(tx, collection_id, experiment_id)
        if experiment is None:
            raise ExperimentNotFound
        names = {rules.label(experiment.id, each.name): each.name for each in experiment.variants}
        counted = await store.list_counted(tx, collection_id, list(names), experiment.unit)
    return rules.analyse(
        experiment,
        {names[each.label]: each.ratio(experiment.metric) for each in counted},
        {
            names[each.label]: Sample(each.questions, each.latency_mean, max(0.0, each.latency_variance))
            for each in counted
        },
    )


async def end(answers: Answers, collection: str, experiment_id: int, principal: Principal) -> Experiment:
    """End an experiment; questions are answered as the settings say again. Raises as `analyse`."""
    account_id, collection_id = principal.require("answers"), _collection_id(collection)
    async with answers.runtime.db.transaction() as tx:
        if not await store.owns(tx, account_id, collection_id):
            raise CollectionNotFound
        await store.update_ended(tx, collection_id, experiment_id)
        experiment = await store.find_experiment(tx, collection_id, experiment_id)
        if experiment is None:
            raise ExperimentNotFound
    return experiment


def _collection_id(text: str) -> int:
    number = read_id(text)
    if number is None:
        raise CollectionNotFound
    return number
