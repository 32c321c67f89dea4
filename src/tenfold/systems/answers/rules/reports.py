"""An evaluation as a person reads it: tables of plain text."""

from collections.abc import Iterable, Sequence

from tenfold.systems.answers.rules.significance import ALPHA
from tenfold.systems.answers.rules.targets import CLAIMS, OFFLINE
from tenfold.systems.answers.types.evaluation import Difference, Evaluation, Measured


def report(evaluation: Evaluation) -> list[str]:
    """What was measured, how sure it is, what differs, and what the case study says."""
    each = evaluation
    lines = [f"{each.name}: {each.documents:,} documents, {each.questions:,} questions. Means, with 95 % intervals."]
    names = list(dict.fromkeys(name for variant in each.variants for name in variant.figures))
    rows = [["", *[variant.variant for variant in each.variants]]]
    rows += [[name, *[_figure(variant, name) for variant in each.variants]] for name in names]
    lines += ["", *_table(rows)]
    stages = list(dict.fromkeys(name for variant in each.variants for name in variant.took))
    rows = [["ms, p50 / p95", *[variant.variant for variant in each.variants]]]
    rows += [[name, *[_times(variant, name) for variant in each.variants]] for name in stages]
    lines += ["", *_table(rows)]
    if len(each.variants) > 1:
        base, *others = each.variants
        rows = [[f"against {base.variant}", *[variant.variant for variant in others]]]
        rows += [[name, *[_difference(variant.differences.get(name)) for variant in others]] for name in names]
        marked = "* p < 0.05 by swapping signs of pairs, corrected for the number of figures (Holm)"
        lines += ["", *_table(rows), marked]
    return [*lines, "", *_wanted(each.variants)]


def _wanted(variants: Sequence[Measured]) -> Iterable[str]:
    rows = [["case study", "wanted", "measured", ""]]
    for variant in variants:
        claim = CLAIMS.get(variant.variant.partition(" ")[0])
        if claim is not None and "nDCG@10" in variant.figures:
            gain, milliseconds = claim
            found, (_, p95) = variant.figures["nDCG@10"].mean, variant.took["retrieval"]
            rows.append([f"{variant.variant}: nDCG@10", f"{gain:.2f}", f"{found:.3f}", _met(found >= gain)])
            rows.append([
                f"{variant.variant}: latency, p95", f"{milliseconds:.0f} ms", f"{p95:.0f} ms", _met(p95 < milliseconds)
            ])  # fmt: skip
    for target in OFFLINE:
        for variant in variants:
            if target.name in variant.figures:
                mean = variant.figures[target.name].mean
                wanted = f"{'<' if target.below else '>'} {target.wanted:g}"
                rows.append([f"{variant.variant}: {target.name}", wanted, f"{mean:.3f}", _met(target.met(mean))])
    yield from _table(rows)
    yield "The case study doesn't say of which questions its figures are. An answer is hit when the passages say it."


def _met(met: bool | None) -> str:
    return "" if met is None else "met" if met else "missed"


def _figure(variant: Measured, name: str) -> str:
    found = variant.figures.get(name)
    return "" if found is None else f"{found.mean:.3f} ({found.low:.3f}-{found.high:.3f})"


def _times(variant: Measured, name: str) -> str:
    found = variant.took.get(name)
    return "" if found is None else f"{found[0]:.1f} / {found[1]:.1f}"


def _difference(found: Difference | None) -> str:
    return (
        "" if found is None else f"{found.difference:+.3f}{'*' if found.p_value < ALPHA else ''} p={found.p_value:.3f}"
    )


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns of one width each; numbers stand at the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *[cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]]
        ).rstrip()
        for row in rows
    ]
