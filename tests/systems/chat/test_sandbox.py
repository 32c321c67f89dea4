"""The sandbox: what it runs and how it shows it, what it stops, and that nothing gets out of it."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tenfold.platform.errors import Unavailable
from tenfold.systems.chat.engine.sandbox import Ran, Sandbox, open_sandbox
from tenfold.systems.chat.settings import ChatSettings

TABLE = Path(__file__).parents[3] / "docs" / "chat-sandbox.md"
#: Only Linux shows which processes there are, and what they were given.
seen = pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
QUICK = ChatSettings(sandbox_seconds=1)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with open_sandbox(QUICK) as sandbox:
        yield sandbox


async def until(count: int) -> list[int]:
    """Wait until so many processes of sandboxes are there."""
    async with asyncio.timeout(10):
        while True:
            if len(found := interpreters()) == count:
                return found
            await asyncio.sleep(0.01)


def interpreters() -> list[int]:
    """Processes of this one that run sandboxed code."""
    found = []
    for each in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, _, rest = each.read_text().partition(" (")
        except OSError:
            continue
        name, _, fields = rest.rpartition(") ")
        if name == "monty" and int(fields.split()[1]) == os.getpid():
            found.append(int(pid))
    return found


async def test_output_is_what_was_printed_and_what_the_last_line_is_worth(sandbox: Sandbox) -> None:
    ran = await sandbox.run("print('one')\nx = [1, 'two']\nx")
    assert (ran.output, ran.error, ran.truncated) == ("one\n[1, 'two']\n", None, False)
    assert ran.seconds >= 0


@pytest.mark.parametrize(
    ("code", "output"),
    [
        ("2 + 2", "4\n"),
        ("2 + 2;", ""),
        ("x = 2", ""),
        ("None", ""),
        ("x = 2\nx  # worth showing", "2\n"),
        ("[1, 2][::-1]\n\n", "[2, 1]\n"),
        ("x = (1,\n2)", ""),
        ("x = \\\n5", ""),
        ("for i in range(2):\n    i", ""),
        ("'''\nx'''", ""),
        ("print('a')", "a\n"),
        ("import sys\nprint('told', file=sys.stderr)", "told\n"),
        ("print('é\\x00', end='')", "é\x00"),
    ],
)
async def test_a_value_is_shown_if_the_last_line_is_an_expression(sandbox: Sandbox, code: str, output: str) -> None:
    ran = await sandbox.run(code)
    assert (ran.output, ran.error) == (output, None)


@pytest.mark.parametrize(
    "code", ["1), print('x'", "1], [print('x')", "x = (1", "'abc", "(", "1 2", "lambda: (yield", "`"]
)
async def test_what_is_no_python_does_nothing(sandbox: Sandbox, code: str) -> None:
    ran = await sandbox.run(f"print('before')\n{code}")
    assert ran.output == ""
    assert ran.error
    assert "SyntaxError" in ran.error


async def test_a_traceback_names_the_lines(sandbox: Sandbox) -> None:
    ran = await sandbox.run("def half(n):\n    return 1 / n\n\nprint('before')\nprint(half(0))\nprint('after')\n")
    assert ran.output == "before\n"
    assert ran.error == (
        "Traceback (most recent call last):\n"
        '  File "main.py", line 5, in <module>\n'
        "    print(half(0))\n"
        "          ~~~~~~~\n"
        '  File "main.py", line 2, in half\n'
        "    return 1 / n\n"
        "           ~~~~~\n"
        "ZeroDivisionError: division by zero"
    )


async def test_a_traceback_shows_the_last_line_as_it_was_written(sandbox: Sandbox) -> None:
    ran = await sandbox.run("x = 0\n7 / x")
    assert ran.error == (
        "Traceback (most recent call last):\n"
        '  File "main.py", line 2, in <module>\n'
        "    7 / x\n"
        "    ~~~~~\n"
        "ZeroDivisionError: division by zero"
    )


async def test_nothing_remains_for_the_next_run(sandbox: Sandbox) -> None:
    await sandbox.run("import math\nx = 1\nmath.pi = 3")
    assert "NameError" in ((await sandbox.run("x")).error or "")
    assert (await sandbox.run("import math\nmath.pi")).output.startswith("3.14")


BOMBS = {
    "while True: pass": "TimeoutError: stopped after 1 seconds",
    "def f():\n    while True: pass\ntry:\n    f()\nexcept BaseException:\n    f()": "TimeoutError",
    "sum(range(10**13))": "TimeoutError",
    "exec('while True: pass')": "TimeoutError",
    "import math\nmath.factorial(10**6)": "TimeoutError",
    "[0] * 10**12": "MemoryError",
    "'a' * 10**12": "MemoryError",
    "x = []\nwhile True: x.append('a' * 1000)": "MemoryError",
    "x = 'a'\nwhile True: x += x": "MemoryError",
    "x = {}\nn = 0\nwhile True:\n    n += 1\n    x[n] = str(n)": "MemoryError",
    "'a'.join(['b' * 10**6] * 1000)": "MemoryError",
    "print('%0100000000d' % 1)": "MemoryError",
    "f'{1:>1000000000}'": "MemoryError",
    "9 ** 9 ** 9": "MemoryError",
    "1 << 10**11": "MemoryError",
    "import re\nre.sub('a', 'b' * 10**6, 'a' * 10**6)": "MemoryError",
    "list(range(10**9))": "MemoryError",
    "x = [1]\nfor i in range(60): x = [x, x]\nx": "",
    "str(10 ** 1000000)": "ValueError",
    "int('9' * 10**6)": "ValueError",
    "def f(): return f()\nf()": "RecursionError",
    "def f(n): return sorted([1, 2], key=lambda _: f(n + 1))\nf(0)": "RecursionError",
    "class A:\n    def __repr__(self): return repr(self)\nA()": "RecursionError",
    "x = []\nfor i in range(10**5): x = [x]\nx == x\nstr(x)": "",
    "(" * 10_000 + ")" * 10_000: "SyntaxError",
    "-" * 30_000 + "1": "SyntaxError",
    "x = " + "[" * 20_000: "SyntaxError",
    "+".join(["1"] * 15_000): "",
    "import re\nre.match('(a+)+$', 'a' * 50 + 'b')": "",
    "import re\nre.match('(a|a)*\\\\1b', 'a' * 50)": "",
    "import json\njson.loads('[' * 100000)": "Error",
    "import time\ntime.sleep(1000)": "",
}


@pytest.mark.parametrize("code", BOMBS, ids=range(len(BOMBS)))
async def test_a_bomb_ends_by_itself(code: str) -> None:
    """At the limit that is meant: what needs memory or depth has all the time that a slow machine may want for it."""
    seconds = 1 if "TimeoutError" in BOMBS[code] else 60
    async with open_sandbox(msgspec.structs.replace(QUICK, sandbox_seconds=seconds)) as sandbox:
        ran = await sandbox.run(code)
        alive = await sandbox.run("'alive'")
    if BOMBS[code]:
        assert ran.error
        assert BOMBS[code] in ran.error
    assert len(ran.output) <= QUICK.sandbox_output
    assert len(ran.error or "") < 30_000
    assert alive.output == "'alive'\n"


async def test_a_flood_of_output_is_ended_at_the_limit(sandbox: Sandbox) -> None:
    for code in ("while True: print('ä' * 1000)", "print('ä' * 10**6)", "while True: print('ä', end='')"):
        ran = await sandbox.run(code)
        assert ran.truncated
        assert len(ran.output.encode()) <= QUICK.sandbox_output < len(ran.output.encode()) + 2
        assert ran.error is None
    exactly = await sandbox.run(f"print('a' * {QUICK.sandbox_output}, end='')")
    assert not exactly.truncated


async def test_a_long_traceback_is_cut(sandbox: Sandbox) -> None:
    ran = await sandbox.run("x = '" + "a" * 20_000 + "' + 1")
    assert ran.error
    assert len(ran.error) < 2000
    names = "".join(f"def f{n}(): return f{n + 1}()\n" for n in range(200))
    ran = await sandbox.run(f"{names}f0()")
    assert ran.error
    assert "lines left out" in ran.error
    assert ran.error.endswith("NameError: name 'f200' is not defined")


@seen
async def test_a_process_that_dies_or_hangs_is_replaced() -> None:
    for sign, said in (
        (signal.SIGKILL, "SystemError: the sandbox broke down"),
        (signal.SIGSTOP, "TimeoutError: stopped after 1 seconds"),
    ):
        async with open_sandbox(QUICK) as sandbox:
            running = asyncio.create_task(sandbox.run("while True: pass"))
            for pid in await until(1):
                os.kill(pid, sign)
            assert said in ((await running).error or "")
            assert (await sandbox.run("1 + 1")).output == "2\n"


@seen
async def test_who_leaves_ends_the_run(sandbox: Sandbox) -> None:
    running = asyncio.create_task(sandbox.run("while True: pass"))
    await until(1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(0)
    assert (await sandbox.run("1 + 1")).output == "2\n"


async def test_few_run_at_once_and_few_wait() -> None:
    async with open_sandbox(msgspec.structs.replace(QUICK, sandbox_at_once=1, sandbox_waiting=1)) as sandbox:
        first, second, third = await asyncio.gather(
            *(sandbox.run("while True: pass") for _ in range(2)), sandbox.run("1"), return_exceptions=True
        )
        assert isinstance(first, Ran)
        assert isinstance(second, Ran)
        assert isinstance(third, Unavailable)
        assert (await sandbox.run("1")).output == "1\n"


ESCAPES = [
    "open('/etc/passwd').read()",
    "open('{trace}', 'w').write('x')",
    "import pathlib\npathlib.Path('{trace}').write_text('x')",
    "import pathlib\npathlib.Path('/etc/passwd').read_text()",
    "import pathlib\nlist(pathlib.Path('/').iterdir())",
    "import os\nos.listdir('/')",
    "import os\nos.environ",
    "import os\nos.getenv('PATH')",
    "import os\nos.environ['PATH']",
    "import os\nos.system('touch {trace}')",
    "import os\nos.popen('touch {trace}')",
    "import os\nos.mkdir('{trace}')",
    "import os\nos.kill(os.getppid(), 9)",
    "import os\nos.fork()",
    "import io\nio.open('/etc/passwd')",
    "import io\nio.FileIO('/etc/passwd')",
    "import sys\nsys.modules['os'].system('touch {trace}')",
    "import sys\nsys._getframe().f_back.f_globals",
    "import socket\nsocket.create_connection(('127.0.0.1', {port}))",
    "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:{port}')",
    "import http.client",
    "import asyncio\nawait asyncio.open_connection('127.0.0.1', {port})",
    "import asyncio\nawait asyncio.create_subprocess_shell('touch {trace}')",
    "import subprocess\nsubprocess.run(['touch', '{trace}'])",
    "import ctypes\nctypes.CDLL(None)",
    "import signal\nsignal.signal(signal.SIGALRM, print)",
    "import threading",
    "import multiprocessing",
    "import pickle",
    "import shutil",
    "import importlib\nimportlib.import_module('os').system('touch {trace}')",
    "__import__('os').system('touch {trace}')",
    'eval(\'__import__("os").system("touch {trace}")\')',
    "exec('import os; os.system(\"touch {trace}\")')",
    "__builtins__['__import__']('os')",
    "().__class__.__base__.__subclasses__()",
    "''.__class__.__mro__[1].__subclasses__()",
    "(lambda: 0).__globals__['__builtins__']",
    "(lambda: 0).__code__",
    "[].append.__self__.__class__.__base__",
    "getattr(getattr((), '__class__'), '__base__')",
    "'{{0.__class__.__base__.__subclasses__}}'.format(())",
    "try:\n    1 / 0\nexcept Exception as e:\n    e.__traceback__.tb_frame.f_globals['__builtins__']",
    "def f(): pass\nf.__globals__",
    "type('X', (), {{}})().__class__.__base__.__subclasses__()",
    "compile('1', 'x', 'exec')",
    "globals()['__builtins__']",
    "import builtins\nbuiltins.open('/etc/passwd')",
    "breakpoint()",
    "input()",
    "from .. import os",
    "import pydantic_monty",
    "import tenfold.platform.settings",
]


@pytest.mark.parametrize("escape", ESCAPES)
async def test_nothing_gets_out(sandbox: Sandbox, escape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENFOLD_SECRET", "the secret of the house")
    trace = tmp_path / "trace"
    called = asyncio.Event()
    server = await asyncio.start_server(lambda _, writer: (called.set(), writer.close()), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        ran = await sandbox.run(escape.format(trace=trace, port=port))
    assert ran.error, ran.output
    assert ran.output == ""
    told = f"{ran.output}{ran.error}"
    assert "root:" not in told
    assert "the secret of the house" not in told
    assert not trace.exists()
    assert not called.is_set()


@seen
async def test_a_process_of_the_sandbox_has_no_environment_and_no_files(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENFOLD_SECRET", "the secret of the house")
    running = asyncio.create_task(sandbox.run("while True: pass"))
    [pid] = await until(1)
    process = Path("/proc") / str(pid)
    environment = (process / "environ").read_bytes()
    opened = [str(each.readlink()) for each in (process / "fd").iterdir()]
    await running
    assert b"secret" not in environment
    assert all(each.startswith(("pipe:", "/dev/null", "socket:")) or each.endswith("(deleted)") for each in opened)


def rows() -> list[tuple[str, bool]]:
    """Python and whether it works, as the page says it."""
    found = re.findall(r"^\| [^|]+ \| `(.+)` \| (yes|no)\b[^|]*\|$", TABLE.read_text(), re.MULTILINE)
    return [(code.replace("\\|", "|").replace("⏎ ", "\n"), works == "yes") for code, works in found]


async def test_the_page_says_what_works(sandbox: Sandbox) -> None:
    told = rows()
    assert len(told) == TABLE.read_text().rpartition("| --- |\n")[2].count("\n")
    assert {works for _, works in told} == {True, False}
    wrong = [code for code, works in told if ((await sandbox.run(code)).error is None) != works]
    assert not wrong


async def test_running_over_http(alice: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    asked = {"code": "print('hello')\n1 / 0"}
    assert (await stranger.post("/chat/api/run", json=asked)).status_code == 401
    answer = await alice.post("/chat/api/run", json=asked)
    assert answer.status_code == 200, answer.text
    ran: dict[str, Any] = answer.json()
    assert set(ran) == {"output", "error", "seconds", "truncated"}
    assert ran["output"] == "hello\n"
    assert ran["error"].endswith("ZeroDivisionError: division by zero")
    assert answer.headers.get("content-type", "").startswith("application/json")


async def test_code_has_bounds_and_runs_a_rate(alice: httpx.AsyncClient) -> None:
    long = await alice.post("/chat/api/run", json={"code": "#" * 32_001})
    assert long.status_code == 422
    assert "32000" in long.text
    assert (await alice.post("/chat/api/run", json={"code": ""})).status_code == 422
    assert (await alice.post("/chat/api/run", json={"code": "#" * 32_000})).status_code == 200
    answers = [(await alice.post("/chat/api/run", json={"code": "1"})).status_code for _ in range(25)]
    assert answers.count(429) >= 5
