"""Small laws of the house that no linter knows. What imports what is checked by import-linter: see pyproject.toml."""

import ast
import importlib
import pkgutil
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

import tenfold
from tenfold.app import SYSTEMS
from tenfold.platform.errors import TenfoldError
from tenfold.platform.migrate import distributions, migrations_of
from tenfold.platform.settings import BadSettings
from tenfold.platform.settings import load as load_from

SOURCE = Path(tenfold.__file__).parent
CHECKOUT = SOURCE.parent.parent
MODULES = {str(path.relative_to(SOURCE)): ast.parse(path.read_text()) for path in sorted(SOURCE.rglob("*.py"))}

#: Rooms that are longer than they should be, and how long they may be.
LONG: dict[str, int] = {}
MOST_LINES = 500

#: Where the web framework may be imported: at the doors.
DOORS = re.compile(r"platform/.*|systems/\w+/(system|endpoints(/\w+)?)\.py")
#: Where SQL may be run.
STORES = re.compile(r"platform/.*|systems/\w+/store(/\w+)?\.py")


@pytest.mark.parametrize("name", MODULES)
def test_a_module_says_what_it_is(name: str) -> None:
    said = ast.get_docstring(MODULES[name])
    assert said, "a module has a docstring of a sentence or two"
    assert not said[0].islower()
    assert said.rstrip()[-1] in ".:", said


def test_rooms_do_not_get_full() -> None:
    lines = {name: len((SOURCE / name).read_text().splitlines()) for name in MODULES}
    full = {name: count for name, count in lines.items() if count > LONG.get(name, MOST_LINES)}
    assert not full, "split them by noun, as feed/actions/timelines.py"
    assert all(lines.get(name, 0) > MOST_LINES for name in LONG), "shorter again: take it off the list"


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""


@pytest.mark.parametrize("name", [name for name in MODULES if not DOORS.fullmatch(name)])
def test_the_web_framework_stays_at_the_doors(name: str) -> None:
    assert "litestar" not in {module.partition(".")[0] for module in imported(MODULES[name])}


@pytest.mark.parametrize("name", [name for name in MODULES if not STORES.fullmatch(name)])
def test_sql_stays_in_the_store(name: str) -> None:
    runs = {"execute", "execute_many", "value", "one", "find", "rows", "copy", "script", "connection"}
    used = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(MODULES[name])
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "tx"
    }
    assert not used & {f"tx.{each}" for each in runs}


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_one_word_is_the_name_of_everything(system: object) -> None:
    name, package = system.name, system.package  # type: ignore[attr-defined]
    assert re.fullmatch(r"[a-z]+", name)
    assert package == f"tenfold.systems.{name}"
    assert (SOURCE / "systems" / name / "__init__.py").is_file()
    assert system.title.lower() == name  # type: ignore[attr-defined]
    migrations = migrations_of(package)
    assert {each.table.partition(".")[0] for each in distributions(migrations)} <= {name}
    created = {schema for each in migrations for schema in re.findall(r"CREATE SCHEMA (\w+)", each.sql)}
    assert created == ({name} if migrations else set())
    for consumer in system.consumers:  # type: ignore[attr-defined]
        assert consumer.name.startswith(f"{name}-")
    for schedule in system.schedules:  # type: ignore[attr-defined]
        assert schedule.name.startswith(f"{name}-")
    for job in system.jobs:  # type: ignore[attr-defined]
        assert job.name.startswith(f"{name}-")
        assert job.queue.startswith(f"{name}-")
    if (contract := SOURCE / "contracts" / f"{name}.py").is_file():
        subjects = re.findall(r'subject="([^"]+)"', contract.read_text())
        assert all(subject.startswith(f"{name}.") for subject in subjects)
    if (CHECKOUT / "web/src/systems").is_dir():
        assert (CHECKOUT / "web/src/systems" / name).is_dir()
    with pytest.raises(BadSettings, match=name):  # the prefix of its settings
        load_from({name: system.settings}, environ={f"TENFOLD_{name.upper()}_NO_SUCH_THING": "1"})  # type: ignore[attr-defined]


def test_every_system_is_on_the_list() -> None:
    flats = {path.parent.name for path in (SOURCE / "systems").glob("*/__init__.py")}
    assert flats == {system.name for system in SYSTEMS}


# --- errors ---------------------------------------------------------------------------------------------------------


def errors() -> dict[str, type[TenfoldError]]:
    for module in pkgutil.walk_packages(tenfold.__path__, "tenfold."):
        importlib.import_module(module.name)
    found: dict[str, type[TenfoldError]] = {}
    unseen = [TenfoldError]
    while unseen:
        error = unseen.pop()
        found[f"{error.__module__}.{error.__qualname__}"] = error
        unseen += error.__subclasses__()
    return {name: error for name, error in found.items() if name.startswith("tenfold.")}


ERRORS = errors()


def placeholders(error: type[TenfoldError]) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(error.__doc__ or "") if name is not None}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_says_what_is_wrong(name: str) -> None:
    error = ERRORS[name]
    message = error.__dict__.get("__doc__")
    assert message, "the docstring is what a person reads"
    assert all(re.fullmatch(r"[a-z_]+", each) for each in placeholders(error))
    shown = message.strip().format(**dict.fromkeys(placeholders(error), "x"))
    assert "\n\n" not in shown
    assert shown[-1] in ".x", shown
    assert 400 <= error.status <= 599
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", error.code)


def test_codes_are_stable_because_they_are_unique() -> None:
    codes = [(name.split(".")[1:3], error.code) for name, error in ERRORS.items()]
    owners = [(tuple(owner[: 1 + (owner[0] == "systems")]), code) for owner, code in codes]
    # Identity is a house of its own: its WrongPassword is an account's, that of links a link's.
    assert len(owners) == len(set(owners)), sorted(owners)


def test_errors_are_raised_with_what_they_say() -> None:
    by_name: dict[str, set[str]] = {}
    for error in ERRORS.values():
        # What has an __init__ of its own says there what it wants, and the type checker sees to it.
        wants = placeholders(error) if error.__init__ is TenfoldError.__init__ else set()
        by_name[error.__name__] = by_name.get(error.__name__, set()) | wants
    missing: list[str] = []
    for name, tree in MODULES.items():
        for node in ast.walk(tree):
            raised = node.exc if isinstance(node, ast.Raise) else node
            called = raised.func if isinstance(raised, ast.Call) else raised if isinstance(node, ast.Raise) else None
            wanted = by_name.get(getattr(called, "attr", getattr(called, "id", "")), set())
            given = {keyword.arg for keyword in raised.keywords} if isinstance(raised, ast.Call) else set()
            if called is not None and wanted - given and None not in given:
                missing.append(f"{name}:{called.lineno} {sorted(wanted - given)}")
    assert not missing
