"""What `tenfold capacity` and `tenfold eval` do: arguments are those of what a system offers, by name."""

import argparse
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

import tenfold
from tenfold import app
from tenfold.platform.errors import NotFound
from tenfold.platform.settings import Settings


class NoEstimate(NotFound):
    """There is no estimate of {system}; there are {known}."""


def _inputs(prog: str, parameters: Mapping[str, inspect.Parameter]) -> argparse.ArgumentParser:
    """Arguments named and typed as parameters are by their defaults; one without is a path that must be given."""
    inputs = argparse.ArgumentParser(prog=prog)
    for name, parameter in parameters.items():
        given = parameter.default is not inspect.Parameter.empty
        kind = type(parameter.default) if given else Path
        default = parameter.default if given else None
        option = f"--{name.replace('_', '-')}"
        inputs.add_argument(option, type=kind, default=default, required=not given, metavar=kind.__name__)
    return inputs


def capacity(name: str, arguments: Sequence[str]) -> Iterator[str]:
    """The estimation of a system, a line a row. Raises NoEstimate."""
    known = {system.name: system.capacity for system in app.SYSTEMS if system.capacity}
    estimate = known.get(name)
    if estimate is None:
        raise NoEstimate(system=name, known=", ".join(known))
    parameters = dict(inspect.signature(estimate).parameters)
    measured = _measured(name) if parameters.pop("measured", None) is not None else None
    given = vars(_inputs(f"tenfold capacity {name}", parameters).parse_args(arguments))
    if measured is not None:
        given["measured"] = measured
    for row in estimate(**given):
        yield f"  {row.name:<44} {_figure(row.value):>14} {row.unit:<12} {row.formula}".rstrip()
    if not measured:
        yield f"  `tenfold bench {name}` measures this machine; the machines that follow are then shown here."


def _measured(system: str) -> dict[str, float]:
    """The figures of the last benchmark; empty where there was none."""
    file = Path(tenfold.__file__).parents[2] / "bench" / "results" / f"{system}.json"
    return dict(json.loads(file.read_text()).get("figures", {})) if file.is_file() else {}


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.3g}"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An evaluation that somebody wants."""

    system: str
    given: Mapping[str, Any]
    machines: bool
    data: Path | None

    async def run(self, settings: Settings, told: Callable[[str], None]) -> str:
        """What was found: as JSON for machines, else as lines. Raises what the system does."""
        found, lines = await app.evaluate(settings, self.system, told, **self.given)
        return msgspec.json.encode(found).decode() if self.machines else "\n".join(lines)


def evaluation(options: argparse.Namespace) -> Evaluation:
    """What the arguments of `tenfold eval` ask for. Raises NothingJudged."""
    parameters = inspect.signature(app.evaluation_of(options.system)).parameters
    own = {name: each for name, each in parameters.items() if each.kind is inspect.Parameter.KEYWORD_ONLY}
    inputs = _inputs(f"tenfold eval {options.system}", own)
    inputs.add_argument("--json", action="store_true", default=options.json, help="for machines, instead of tables")
    inputs.add_argument("--data", type=Path, metavar="DIR", help="where everything is kept (TENFOLD_DATA, ./var)")
    given = vars(inputs.parse_args(options.rest))
    return Evaluation(options.system, given, given.pop("json"), given.pop("data"))


def tell(line: str) -> None:
    """How far something is, beside what it prints."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
