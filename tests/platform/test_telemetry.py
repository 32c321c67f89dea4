"""Logs without secrets, metrics of one process and of several, and spans at a receiver that speaks OTLP."""

import asyncio
import json
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import structlog
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tenfold.platform import telemetry
from tenfold.platform.settings import Secret, Settings

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"


@contextmanager
def configured(settings: Settings) -> Iterator[None]:
    """As a process is, and afterwards as it was."""
    before = structlog.get_config()
    handlers, level = logging.root.handlers, logging.root.level
    telemetry.configure(settings)
    try:
        yield
    finally:
        structlog.configure(**before)
        logging.root.handlers, logging.root.level = handlers, level
        if telemetry._provider is not None:
            telemetry._provider.shutdown()
        telemetry._tracer = telemetry._provider = None


async def ask(
    headers: dict[bytes, bytes], *, route: str | None = "/things/{id}", status: int = 200
) -> tuple[dict[bytes, bytes], list[str]]:
    """Send a request through `traced`: the headers of the response, and what the application saw."""
    seen: list[str] = []
    sent: list[dict[str, Any]] = []
    scope: Any = {"type": "http", "method": "GET", "path": "/things/7"}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if route:
            scope["path_template"] = route
        seen.append(structlog.contextvars.get_contextvars()["request_id"])
        with telemetry.span("query", {"rows": 3}):
            seen.append(telemetry.trace_headers().get("traceparent", ""))
            await asyncio.sleep(0)
        if status == 500:
            raise RuntimeError("broken")
        await send({"type": "http.response.start", "status": status, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: Any) -> None:
        sent.append(message)

    try:
        await telemetry.traced(app, "test", scope, headers, None, send)  # type: ignore[arg-type]
    except RuntimeError:
        return {}, seen
    return dict(sent[0]["headers"]), seen


def metric(line: str, body: bytes | None = None) -> float:
    """The value of the one line that begins so."""
    body = body or telemetry.render_metrics()[0]
    found = re.search(rf"^{re.escape(line)} (\S+)$", body.decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_logs_hide_secrets(capsys: pytest.CaptureFixture[str]):
    with configured(Settings(log_format="json")):
        log = structlog.get_logger("tenfold.test")
        log.info("opened", password="hunter2", api_key="hunter2", held=Secret("hunter2"), tokens=5)
        log.warning("lost", reason="no answer from valkey://:hunter2@127.0.0.1:6379/0")
        log.debug("too quiet to be heard")
        secret = "hunter2"
        try:
            raise ConnectionError(f"postgres://me:{secret}@db/x")
        except ConnectionError:
            log.exception("failed")
    err = capsys.readouterr().err
    assert "hunter2" not in err
    opened, lost, failed = (json.loads(line) for line in err.splitlines())
    assert opened["event"] == "opened"
    assert opened["level"] == "info"
    assert opened["tokens"] == 5
    assert lost["reason"] == "no answer from valkey://:***@127.0.0.1:6379/0"
    assert "ConnectionError: postgres://me:***@db/x" in failed["exception"]


def test_libraries_log_like_we_do(capsys: pytest.CaptureFixture[str]):
    with configured(Settings(log_format="json", log_level="warning")):
        logging.getLogger("some.library").warning("lost %s", "nats://me:hunter2@there")
        logging.getLogger("some.library").info("quiet")
        try:
            raise ValueError("deep")
        except ValueError:
            logging.getLogger("some.library").exception("failed")
    lost, failed = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (lost["event"], lost["level"]) == ("lost nats://me:***@there", "warning")
    assert "ValueError: deep" in failed["exception"]


def test_logs_for_people(capsys: pytest.CaptureFixture[str]):
    with configured(Settings(log_format="console")):
        structlog.get_logger().warning("lost", part="Valkey")
        try:
            raise ValueError("deep")
        except ValueError:
            structlog.get_logger().exception("failed")
    err = capsys.readouterr().err
    assert "lost" in err
    assert "part=Valkey" in err
    assert "ValueError: deep" in err
    assert "\x1b" not in err, "colours are for terminals"


async def test_a_request_has_an_id(capsys: pytest.CaptureFixture[str]):
    headers, seen = await ask({b"x-request-id": b"caller-7.a:b_c"})
    assert (headers[b"x-request-id"], seen[0], headers[b"a"]) == (b"caller-7.a:b_c", "caller-7.a:b_c", b"b")
    made = []
    for wrong in ({}, {b"x-request-id": b""}, {b"x-request-id": b"x" * 65}, {b"x-request-id": b'a" b\n'}):
        headers, seen = await ask(wrong)
        assert re.fullmatch(r"[0-9a-f]{16}", seen[0])
        assert headers[b"x-request-id"] == seen[0].encode()
        made.append(seen[0])
    assert len(set(made)) == 4
    assert "request_id" not in structlog.contextvars.get_contextvars()


async def test_requests_are_counted_by_route_and_class():
    ours = 'tenfold_requests_total{method="GET",route="/things/{id}",status="%s",system="test"}'
    times = 'tenfold_request_seconds_count{route="/things/{id}",system="test"}'
    before = metric(ours % "2xx"), metric(ours % "4xx"), metric(ours % "5xx"), metric(times)
    for status in (200, 204, 404, 500):
        await ask({}, status=status)
    after = metric(ours % "2xx"), metric(ours % "4xx"), metric(ours % "5xx"), metric(times)
    assert [now - then for now, then in zip(after, before, strict=True)] == [2, 1, 1, 4]
    await ask({}, route=None)
    assert metric('tenfold_requests_total{method="GET",route="other",status="2xx",system="test"}') >= 1


def test_strangers_cannot_make_metrics_grow(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(telemetry, "MOST_ROUTES", len(telemetry._requests) + 5)
    for n in range(100):
        telemetry.observe_request("test", f"METHOD{n}", "/", 200, 0.1)
        telemetry.observe_request("many", "GET", f"/{n}", 200, 0.1)
    body = telemetry.render_metrics()[0]
    assert b"METHOD" not in body
    assert body.count(b'tenfold_requests_total{method="GET",route="/') <= telemetry.MOST_ROUTES
    assert metric('tenfold_requests_total{method="GET",route="other",status="2xx",system="many"}', body) >= 90


class Numbers:
    def __init__(self) -> None:
        self.hits = 0
        self.kept = 0.0


async def test_plain_numbers_become_metrics(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(telemetry, "SAMPLE", 0.001)
    first, other = Numbers(), Numbers()
    telemetry.watch("shelf", first, counters="hits", gauges="kept", name="a")
    telemetry.watch("shelf", other, counters="hits", gauges="kept", name="b")
    first.hits, first.kept, other.hits = 5, 2.5, 1
    assert metric('tenfold_shelf_hits_total{name="a"}') == 5
    assert metric('tenfold_shelf_kept{name="a"}') == 2.5
    first.hits, first.kept = 7, 1.0
    assert metric('tenfold_shelf_hits_total{name="a"}') == 7
    assert metric('tenfold_shelf_kept{name="a"}') == 1.0
    telemetry.watch("shelf", successor := Numbers(), counters="hits", gauges="kept", name="a")
    successor.hits = 2
    assert metric('tenfold_shelf_hits_total{name="a"}') == 9, "counts go on"
    assert metric('tenfold_shelf_hits_total{name="b"}') == 1
    async with telemetry.running():
        successor.hits = 4
        key = "shelf", "name=a"
        async with asyncio.timeout(20):
            while telemetry._sources[key].last["hits"] != 4:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        successor.hits = 5
    assert telemetry._sources[key].last["hits"] == 5, "the last ones too"


def test_metrics_of_processes_add_up(tmp_path: Path):
    code = """
import sys
from tenfold.platform import telemetry
class Numbers: hits = int(sys.argv[1])
telemetry.watch("shelf", Numbers, counters="hits")
telemetry.observe_request("links", "GET", "/{code}", 302, 0.004)
body, kind = telemetry.render_metrics()
print(kind, body.decode(), sep="\\n")
"""
    said = [
        subprocess.run(
            [sys.executable, "-c", code, number],
            env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for number in ("3", "4")
    ]
    assert said[0].startswith("text/plain")
    body = said[1].encode()
    assert metric("tenfold_shelf_hits_total", body) == 7
    assert metric('tenfold_requests_total{method="GET",route="/{code}",status="3xx",system="links"}', body) == 2
    assert metric('tenfold_request_seconds_bucket{le="0.005",route="/{code}",system="links"}', body) == 2


class Receiver(ThreadingHTTPServer):
    """Takes spans over OTLP/HTTP."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.paths: list[str] = []
        super().__init__(("127.0.0.1", 0), Taker)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Taker(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        request = ExportTraceServiceRequest()
        request.ParseFromString(self.rfile.read(int(self.headers["content-length"])))
        self.server.paths.append(self.path)
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.server.spans += scope.spans
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield receiver
        receiver.shutdown()
        thread.join()


async def test_spans_reach_the_receiver(receiver: Receiver):
    with configured(Settings(otlp_endpoint=receiver.url)):
        async with telemetry.running():
            traceparent = f"00-{TRACE}-{CALLER}-01".encode()
            _, seen = await ask({b"traceparent": traceparent})
            await ask({b"traceparent": b"nonsense"}, status=500)
            with telemetry.span("consume", parent={"traceparent": seen[1]}):
                pass
        spans = {span.name: span for span in receiver.spans if span.trace_id.hex() == TRACE}
        assert set(receiver.paths) == {"/v1/traces"}
        server, query, consume = spans["GET /things/{id}"], spans["query"], spans["consume"]
        assert server.parent_span_id.hex() == CALLER
        assert server.kind == Span.SPAN_KIND_SERVER
        attributes = {each.key: each.value.string_value or each.value.int_value for each in server.attributes}
        assert attributes == {
            "http.request.method": "GET",
            "http.route": "/things/{id}",
            "http.response.status_code": 200,
        }
        assert query.parent_span_id == server.span_id
        assert query.attributes[0].value.int_value == 3
        assert seen[1] == f"00-{TRACE}-{query.span_id.hex()}-01"
        assert consume.parent_span_id == query.span_id
        failed = [span for span in receiver.spans if span.trace_id.hex() != TRACE and span.name != "query"]
        assert [(span.name, span.parent_span_id) for span in failed] == [("GET /things/{id}", b"")]
        assert failed[0].status.code == failed[0].status.STATUS_CODE_ERROR


async def test_without_an_endpoint_there_are_no_traces():
    _, seen = await ask({b"traceparent": f"00-{TRACE}-{CALLER}-01".encode()})
    assert seen[1] == ""
    with telemetry.span("nothing") as span:
        assert span is None


def test_nothing_heavy_is_imported_for_nothing():
    code = "import sys; from tenfold.platform import telemetry; print([m for m in sys.modules if m in %r])"
    heavy = ["opentelemetry", "prometheus_client", "litestar", "requests"]
    run = subprocess.run([sys.executable, "-c", code % heavy], check=True, capture_output=True, text=True)
    assert run.stdout.strip() == "[]"
