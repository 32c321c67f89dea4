"""The `tenfold` command: parse, call, print. What a command needs is imported when it runs, so that --help is quick."""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tenfold.commands import add_documents, speak_mcp
from tenfold.commands import say as _say
from tenfold.commands import settings_of as _settings

if TYPE_CHECKING:
    from tenfold.platform.bus import Bus
    from tenfold.platform.runtime import Runtime
    from tenfold.platform.settings import Settings


def main(arguments: list[str] | None = None) -> int:
    """Run one command. What the shell shall get as its status."""
    options = _parser().parse_args(arguments)
    from tenfold.platform.errors import TenfoldError

    try:
        options.run(options)
    except TenfoldError as error:
        print(f"tenfold: {error}", file=sys.stderr)
        for field, reason in error.fields.items():
            print(f"  {field}: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tenfold",
        description="Ten internet-scale systems on real engines.",
        epilog="Settings come from TENFOLD_* variables and from tenfold.toml.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], None], about: str) -> argparse.ArgumentParser:
        own = commands.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
        own.set_defaults(run=run)
        return own

    def placed(own: argparse.ArgumentParser) -> argparse.ArgumentParser:
        own.add_argument("--data", type=Path, metavar="DIR", help="where everything is kept (TENFOLD_DATA, ./var)")
        return own

    up = placed(command("up", _up, "start everything: engines, web, workers"))
    up.add_argument("--only", type=_names, metavar="A,B", help="the systems to run, instead of all")
    up.add_argument("--port", type=int, help="of the web server (TENFOLD_PORT, 8080)")
    up.add_argument("--workers", type=int, metavar="N", help="web processes")
    placed(command("down", _down, "stop what `up` has started on the same data"))
    placed(command("status", _status, "show what runs, and how far events have come"))

    for name, run, about in (
        ("serve", _serve, "serve the web in this process, as under systemd"),
        ("work", _work, "consume events and run schedules in this process, as under systemd"),
    ):
        own = placed(command(name, run, about))
        own.add_argument("systems", nargs="*", metavar="SYSTEM", help="instead of all")
        if name == "serve":
            own.add_argument("--port", type=int)
            own.add_argument("--workers", type=int, metavar="N")

    migrate = placed(command("migrate", _migrate, "bring the database up to date"))
    migrate.add_argument("--distribute", action="store_true", help="then spread the tables over a Citus cluster")
    demo = placed(command("demo", _demo, "make believable content, once"))
    demo.add_argument("systems", nargs="*", metavar="SYSTEM", help="instead of all")

    take_in = placed(command("import", _import, "take in bulk data of a system, JSON lines from a file"))
    take_in.add_argument("system", metavar="SYSTEM")
    take_in.add_argument("file", type=Path)

    answers = command("answers", lambda _: answers.print_help(), "documents for questions")
    kinds = answers.add_subparsers(metavar="add", required=True)
    add = placed(kinds.add_parser("add", help="make documents of a folder's files"))
    add.set_defaults(run=add_documents)
    add.add_argument("folder", type=Path, metavar="DIR")
    add.add_argument("--collection", required=True, metavar="NAME", help="made when there is none")
    add.add_argument("--account", required=True, metavar="NAME", help="whose it is")
    mcp = placed(
        command("mcp", speak_mcp, "let an assistant on standard input and output search an account's documents")
    )
    mcp.add_argument("--account", required=True, metavar="NAME")

    bench = command("bench", _bench, "measure a system's claims (in a checkout)")
    bench.add_argument("system")
    bench.add_argument("rest", nargs=argparse.REMAINDER, metavar="...", help="arguments of the benchmark")
    evaluate = placed(command("eval", _evaluate, "measure how good a system is, on labelled data"))
    evaluate.add_argument("system", metavar="SYSTEM")
    evaluate.add_argument("--json", action="store_true", help="for machines, instead of tables")
    evaluate.add_argument(
        "rest", nargs=argparse.REMAINDER, metavar="--INPUT VALUE", help="what the system wants to know"
    )
    capacity = command("capacity", _capacity, "estimate the machines that a system needs")
    capacity.add_argument("system")
    capacity.add_argument("rest", nargs=argparse.REMAINDER, metavar="--INPUT VALUE", help="inputs, instead of defaults")

    account = command("account", lambda _: account.print_help(), "create accounts and API keys")
    kinds = account.add_subparsers(metavar="create|key", required=True)
    create = placed(kinds.add_parser("create", help="a new account"))
    create.set_defaults(run=_account_create)
    create.add_argument("--name", required=True)
    create.add_argument("--password", help="asked for when left out, which keeps it off the process list")
    create.add_argument("--tier", choices=("free", "plus", "enterprise"), default="free")
    key = placed(kinds.add_parser("key", help="a new API key, shown once"))
    key.set_defaults(run=_account_key)
    key.add_argument("--name", required=True, help="of the account")

    models = command("models", lambda _: models.print_help(), "the language models that run here")
    kinds = models.add_subparsers(metavar="list|pull|verify", required=True)
    for name, run, about in (
        ("list", _models_list, "show which there are, and which are here"),
        ("pull", _models_pull, "fetch them"),
        ("verify", _models_verify, "compare them with what was tried"),
    ):
        own = placed(kinds.add_parser(name, help=about))
        own.set_defaults(run=run)
        own.add_argument("models", nargs="*", metavar="MODEL", help="instead of all that tiers use")

    review = command("review", lambda _: review.print_help(), "what a system holds for people to look at")
    kinds = review.add_subparsers(metavar="list|done", required=True)
    held = placed(kinds.add_parser("list", help="show it, the newest first"))
    held.set_defaults(run=_review_list)
    held.add_argument("--limit", type=int, default=20, metavar="N")
    held.add_argument("--full", action="store_true", help="whole texts, instead of how they begin")
    done = placed(kinds.add_parser("done", help="mark what was looked at"))
    done.set_defaults(run=_review_done)
    for own in (held, done):
        own.add_argument("system", metavar="SYSTEM")
    done.add_argument("ids", nargs="+", metavar="ID")

    dead = command("dead", lambda _: dead.print_help(), "events that a consumer has given up")
    fates = dead.add_subparsers(metavar="list|replay", required=True)
    for name, run, about in (
        ("list", _dead_list, "show them with the reason"),
        ("replay", _dead_replay, "give them back to their consumers"),
    ):
        own = placed(fates.add_parser(name, help=about))
        own.set_defaults(run=run)
        own.add_argument("consumer", nargs="?", help="instead of all")
    return parser


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def _up(options: argparse.Namespace) -> None:
    from tenfold.app import chosen, load_settings, migrate
    from tenfold.platform import supervisor

    given = {name: getattr(options, name) for name in ("data", "only", "port", "workers")}
    settings = load_settings(**given)
    tiers = {tier for system in chosen(settings) for tier in system.tiers}

    async def bring_up_to_date(settings: "Settings") -> str:
        applied = await migrate(settings)
        return f"{len(applied)} applied" if applied else "none missing"

    asyncio.run(supervisor.up(settings, bring_up_to_date, _say, tiers))


def _down(options: argparse.Namespace) -> None:
    from tenfold.platform import supervisor

    supervisor.down(_settings(options))
    _say("Stopped.")


def _status(options: argparse.Namespace) -> None:
    import time

    from tenfold.platform import supervisor

    settings = _settings(options)
    state = supervisor.status(settings)
    minutes, seconds = divmod(int(time.time() - state.started_at), 60)
    _say(f"Tenfold runs at {state.address} on {settings.data.absolute()}, for {minutes} min {seconds} s.")
    sizes = supervisor.memory([state.pid, *(part.pid for part in state.parts)])
    own = sum(size for pid, size in sizes.items() if pid != state.pid)
    rows = [("supervisor", state.pid, sizes[state.pid] - own, "")]
    rows += [(f"{part.name} {part.version}", part.pid, sizes[part.pid], part.where) for part in state.parts]
    for name, pid, size, where in rows:
        _say(f"  {name:<20} pid {pid:<8} {size / 1024**2:7.0f} MB  {where}".rstrip())
    waiting, dead = asyncio.run(_with_bus(settings, _events))
    for consumer in sorted({*waiting, *dead}):
        letters = f", {dead[consumer]} dead (tenfold dead list {consumer})" if dead.get(consumer) else ""
        _say(f"  {consumer:<20} {waiting.get(consumer, 0)} events waiting{letters}")


async def _events(bus: "Bus") -> tuple[dict[str, int], dict[str, int]]:
    """How many events wait for each consumer, and how many each has given up."""
    from tenfold.app import SYSTEMS
    from tenfold.platform.bus import count_dead_letters

    for system in SYSTEMS:
        await bus.ensure_stream(system.name)
    return await bus.backlog(), await count_dead_letters(bus)


def _serve(options: argparse.Namespace) -> None:
    settings = _settings(options)
    from tenfold.platform.server import serve, share_metrics

    share_metrics(settings.data / "run" / f"metrics-{os.getpid()}")
    serve(settings)


def _work(options: argparse.Namespace) -> None:
    settings = _settings(options)
    from tenfold import app
    from tenfold.platform import telemetry
    from tenfold.platform.server import share_metrics, until_told

    share_metrics(settings.data / "run" / f"metrics-{os.getpid()}")
    telemetry.configure(settings)
    until_told(lambda stop: app.work(settings, stop))


def _migrate(options: argparse.Namespace) -> None:
    from tenfold import app

    settings = _settings(options)
    applied = asyncio.run(app.migrate(settings))
    for migration in applied:
        _say(f"applied {migration.owner} {migration.file}")
    if not applied:
        _say("The database is up to date.")
    if options.distribute:
        for each in asyncio.run(app.distribute(settings)):
            _say(f"{each.table}: {'copied to all' if each.key is None else f'spread by {each.key}'}")


def _demo(options: argparse.Namespace) -> None:
    from tenfold import app

    async def show() -> None:
        async for line in app.demo(_settings(options)):
            _say(line)

    asyncio.run(show())


def _import(options: argparse.Namespace) -> None:
    from tenfold import app
    from tenfold.platform.errors import NotFound

    class NoSuchFile(NotFound):
        """There is no file {file}."""

    if not options.file.is_file():
        raise NoSuchFile(file=options.file)
    with options.file.open("rb") as lines:
        _say(asyncio.run(app.take_in(_settings(options), options.system, lines)))


def _bench(options: argparse.Namespace) -> None:
    import tenfold
    from tenfold.platform.errors import NotFound

    class NoBenchmark(NotFound):
        """There is no benchmark of {system}: {file} is missing. Benchmarks come with the checkout, not the package."""

    file = Path(tenfold.__file__).parents[2] / "bench" / f"{options.system}.py"
    if not file.is_file():
        raise NoBenchmark(system=options.system, file=file)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, str(file), *options.rest])  # noqa: S606


def _capacity(options: argparse.Namespace) -> None:
    from tenfold.measuring import capacity

    for line in capacity(options.system, options.rest):
        _say(line)


def _evaluate(options: argparse.Namespace) -> None:
    from tenfold.measuring import evaluation, tell

    wish = evaluation(options)
    options.data = wish.data or options.data
    _say(asyncio.run(wish.run(_settings(options), tell)))


def _account_create(options: argparse.Namespace) -> None:
    from getpass import getpass

    from tenfold.platform.identity.actions import create_account

    password = options.password or getpass("Password: ")

    async def create(runtime: "Runtime") -> str:
        account = await create_account(runtime.identity, options.name, password, options.tier)
        return f"{account.name} is account {account.id}, tier {account.tier}."

    _say(_with_runtime(options, create))


def _account_key(options: argparse.Namespace) -> None:
    from tenfold.app import NoAccount
    from tenfold.platform.errors import NotFound
    from tenfold.platform.identity.actions import create_key

    async def create(runtime: "Runtime") -> str:
        try:
            return (await create_key(runtime.identity, options.name)).token
        except NotFound:
            raise NoAccount(name=options.name) from None

    _say(_with_runtime(options, create))


def _with_runtime(options: argparse.Namespace, act: "Callable[[Runtime], Awaitable[str]]") -> str:
    from tenfold.platform.runtime import open_runtime

    async def run() -> str:
        async with open_runtime(_settings(options)) as runtime:
            return await act(runtime)

    return asyncio.run(run())


def _models_list(options: argparse.Namespace) -> None:
    from tenfold.platform.models import Models

    settings = _settings(options)
    models = Models(settings.models_directory)
    used: dict[str, list[str]] = {}
    for tier in settings.tier_names:
        for name in filter(None, (settings.tier(tier).model, settings.tier(tier).draft)):
            used.setdefault(name, []).append(tier)
    for model in models.manifest.values():
        here = "here" if models.present(model.name) else "missing"
        tiers = f"  for {', '.join(used[model.name])}" if model.name in used else ""
        _say(f"  {model.name:<20} {model.size / 1e6:7.0f} MB  {model.licence:<11} {here:<8}{model.title}{tiers}")


def _models_pull(options: argparse.Namespace) -> None:
    from tenfold.platform.models import Models

    settings = _settings(options)
    models = Models(settings.models_directory)
    for name in _chosen_models(options, settings):
        asyncio.run(models.pull(name, _progress(name)))
        if sys.stdout.isatty():
            print()


def _progress(name: str) -> Callable[[int, int], None]:
    """Shows how far a download is: in one line on a terminal, else in ten."""
    shown = -1

    def show(done: int, size: int) -> None:
        nonlocal shown
        text = f"  {name:<20} {done / 1e6:7.0f} of {size / 1e6:.0f} MB"
        if sys.stdout.isatty():
            print(f"\r{text}", end="", flush=True)
        elif 10 * done // size > shown:
            shown = 10 * done // size
            _say(text)

    return show


def _models_verify(options: argparse.Namespace) -> None:
    from tenfold.platform.errors import TenfoldError
    from tenfold.platform.models import Models

    class ModelBroken(TenfoldError):
        """Broken or missing: {files}. `tenfold models pull` mends it."""

    settings = _settings(options)
    models = Models(settings.models_directory)
    bad: list[str] = []
    for name in _chosen_models(options, settings):
        wrong = asyncio.run(models.verify(name))
        _say(f"  {name:<20} {'as it should be' if not wrong else 'not as it should be: ' + ', '.join(wrong)}")
        bad += [str(models.path(name, file)) for file in wrong]
    if bad:
        raise ModelBroken(files=", ".join(bad))


def _chosen_models(options: argparse.Namespace, settings: "Settings") -> list[str]:
    if options.models:
        return list(options.models)
    tiers = [settings.tier(name) for name in settings.tier_names]
    return list(dict.fromkeys(name for tier in tiers for name in (tier.model, tier.draft) if name))


#: Characters of what is held that are shown, unless all are asked for.
_SHOWN = 300


def _review_list(options: argparse.Namespace) -> None:
    from tenfold.app import reviews_of

    reviews = reviews_of(options.system)

    async def show(runtime: "Runtime") -> str:
        lines: list[str] = []
        for each in await reviews.list(runtime.db, options.limit):
            why = ", ".join(f"{name} {score:.2f}" for name, score in each.reasons.items())
            # It was written by strangers: what would move the cursor of a terminal is not shown.
            text = "".join(char for char in " ".join(each.text.split()) if char.isprintable())
            cut = text if options.full or len(text) <= _SHOWN else f"{text[:_SHOWN]} ..."
            lines += [f"{each.at:%Y-%m-%d %H:%M:%S}  {each.id}  {each.kind}  {why}", f"  {cut}"]
        return "\n".join(lines) or "Nothing waits."

    _say(_with_runtime(options, show))


def _review_done(options: argparse.Namespace) -> None:
    from tenfold.app import reviews_of

    reviews = reviews_of(options.system)

    async def close(runtime: "Runtime") -> str:
        return f"{await reviews.close(runtime.db, options.ids)} marked as looked at."

    _say(_with_runtime(options, close))


def _dead_list(options: argparse.Namespace) -> None:
    from tenfold.platform.bus import list_dead_letters

    async def show(bus: "Bus") -> None:
        last = 0
        while letters := await list_dead_letters(bus, options.consumer, after=last):
            for letter in letters:
                _say(
                    f"{letter.died_at:%Y-%m-%d %H:%M:%S}  {letter.consumer}  {letter.subject}  {letter.event_id}  "
                    f"{letter.reason} (after {letter.attempts} attempts)"
                )
            last = letters[-1].sequence

    asyncio.run(_with_bus(_settings(options), show))


def _dead_replay(options: argparse.Namespace) -> None:
    from tenfold.platform.bus import replay

    count = asyncio.run(_with_bus(_settings(options), lambda bus: replay(bus, options.consumer)))
    _say(f"{count} given back to their consumers.")


async def _with_bus[T](settings: "Settings", act: "Callable[[Bus], Awaitable[T]]") -> T:
    from tenfold.platform.bus import open_bus

    bus = await open_bus(settings)
    try:
        return await act(bus)
    finally:
        await bus.close()


if __name__ == "__main__":
    sys.exit(main())
