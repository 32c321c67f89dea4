"""HTTP doors of evaluation: figures, experiments, and what labelled data said. Decode, call one action, encode."""

from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from tenfold.platform.identity import Principal
from tenfold.platform.identity.rules import read_id
from tenfold.systems.answers.actions import evaluation, experiments, figures
from tenfold.systems.answers.actions.context import Answers
from tenfold.systems.answers.errors import CollectionNotFound, ExperimentNotFound
from tenfold.systems.answers.types.evaluation import Evaluations
from tenfold.systems.answers.types.experiments import Analysis, BeginExperiment, Experiment, Experiments, Figures


def _experiment_id(text: str) -> int:
    number = read_id(text)
    if number is None:
        raise ExperimentNotFound
    return number


def _before(cursor: str | None) -> int | None:
    """What can't be one is taken for none."""
    return None if cursor is None else read_id(cursor)


class FigureEndpoints(Controller):
    path = "/api"
    tags = ("Evaluation",)

    @get("/collections/{collection_id:str}/figures")
    async def figures(
        self,
        collection_id: FromPath[str],
        answers: NamedDependency[Answers],
        principal: NamedDependency[Principal],
        days: Annotated[int, QueryParameter(ge=1, le=365)] = 30,
    ) -> Figures:
        """What the questions of the last days came to, beside what is wanted."""
        number = read_id(collection_id)
        if number is None:
            raise CollectionNotFound
        return await figures.read_figures(answers, number, principal, days)

    @get("/evaluations")
    async def evaluations(
        self,
        answers: NamedDependency[Answers],
        principal: NamedDependency[Principal],
        before: Annotated[str | None, QueryParameter(max_length=20)] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=100)] = evaluation.PAGE,
    ) -> Evaluations:
        """What `tenfold eval` has found here, the newest first."""
        principal.require("answers")
        return await evaluation.list_evaluations(answers.runtime, _before(before), limit)

    @get("/experiments")
    async def list_experiments(
        self,
        answers: NamedDependency[Answers],
        principal: NamedDependency[Principal],
        collection_id: Annotated[str, QueryParameter(max_length=20)],
        before: Annotated[str | None, QueryParameter(max_length=20)] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
    ) -> Experiments:
        return await experiments.list_experiments(answers, collection_id, principal, _before(before), limit)

    @post("/experiments")
    async def begin(
        self, data: JSONBody[BeginExperiment], answers: NamedDependency[Answers], principal: NamedDependency[Principal]
    ) -> Experiment:
        """Compare ways to answer, on a collection of one's own."""
        return await experiments.begin(answers, data, principal)

    @get("/experiments/{experiment_id:str}")
    async def analyse(
        self,
        experiment_id: FromPath[str],
        answers: NamedDependency[Answers],
        principal: NamedDependency[Principal],
        collection_id: Annotated[str, QueryParameter(max_length=20)],
    ) -> Analysis:
        """What an experiment says so far, and whether that is to be believed."""
        return await experiments.analyse(answers, collection_id, _experiment_id(experiment_id), principal)

    @post("/experiments/{experiment_id:str}/end", status_code=200)
    async def end(
        self,
        experiment_id: FromPath[str],
        answers: NamedDependency[Answers],
        principal: NamedDependency[Principal],
        collection_id: Annotated[str, QueryParameter(max_length=20)],
    ) -> Experiment:
        return await experiments.end(answers, collection_id, _experiment_id(experiment_id), principal)
