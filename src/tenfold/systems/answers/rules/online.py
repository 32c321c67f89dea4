"""What outcomes of questions come to: the case study's online metrics, section 6, and its targets."""

from collections.abc import Sequence

from tenfold.systems.answers.rules.targets import ONLINE
from tenfold.systems.answers.types.experiments import Beside, Figures, FiguresOf, Tally


def figures(tally: Tally) -> dict[str, float | None]:
    """The case study's online metrics by name. None where there was nothing to make one of."""
    each = tally
    answered = each.questions - each.failed - each.late
    return {
        # Of answers that showed passages, those of which one was clicked; of these, 1 / rank of the first.
        "click_through": _share(each.clicked, each.shown),
        "mrr": _share(each.reciprocal, each.clicked),
        "acceptance": _share(each.accepted, answered),
        "feedback_rate": _share(each.rated, answered),
        "thumbs_up_rate": _share(each.good, each.rated),
        "session_success": _share(each.successful, each.sessions),
        "latency_mean": each.latency_mean,
        "latency_p50": each.latency_p50,
        "latency_p95": each.latency_p95,
        "latency_p99": each.latency_p99,
        "error_rate": _share(each.failed, each.questions),
        "timeout_rate": _share(each.late, each.questions),
        "no_answer_rate": _share(each.unknown, each.questions),
        "cache_hit_rate": _share(each.cached, each.questions),
        "faithfulness": each.faithfulness,
        "questions_per_user": _share(each.questions, each.users),
    }


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def beside(days: int, tallies: Sequence[Tally]) -> Figures:
    """Figures of a collection beside what is wanted, from tallies of all, of each day, and of each variant."""
    whole = next(each for each in tallies if each.day is None and each.variant is None)
    targets = {target.name: target for target in ONLINE}
    items: list[Beside] = []
    for name, value in figures(whole).items():
        target = targets.get(name)
        unit = "ms" if name.startswith("latency") else ""
        if target is None:
            items.append(Beside(name=name, value=value, unit=unit))
        else:
            met = target.met(value)
            items.append(Beside(name=name, value=value, unit=unit, wanted=target.wanted, below=target.below, met=met))
    return Figures(
        days=days,
        questions=whole.questions,
        users=whole.users,
        items=items,
        by_day=[_of(each.day.isoformat(), each) for each in tallies if each.day is not None],
        by_variant=[_of(each.variant, each) for each in tallies if each.variant is not None],
    )


def _of(name: str, tally: Tally) -> FiguresOf:
    return FiguresOf(name=name, questions=tally.questions, figures=figures(tally))
