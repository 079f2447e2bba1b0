"""Measures what our own layer adds to a model call, against the bare SDK in the same run; Markdown to stdout.

.venv/bin/python -m tests.bench.overhead [--seconds S]

A loopback server answers each request after a fixed time. The same request goes to it by the bare `openai`
SDK, and through prompt, door and ledger, from 1, 50 and 200 threads. "Own layer" is the time of a call less
the time inside the SDK's call. `TRIAGE_BENCH_LITELLM` names a Python that has `litellm` (of an environment of
its own: it is no part of this project), whose SDK is then measured on the same server.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LEVELS = {1: 0.05, 50: 0.5, 200: 1.0}
"""In flight → the seconds that the server takes for an answer, so that two cores are not the measure."""

MODEL = "gpt-6-luna"
MESSAGE = "Hello,\n\nwhere is my order 48213? I ordered a week ago and the tracking shows nothing.\n\nJane"
ANSWER = {
    "topic": "order_shipping",
    "confidence": 0.95,
    "language": "en",
    "summary": "asks where the order is",
}


@dataclass(frozen=True)
class Measured:
    """Milliseconds a call: the whole call, our part of it, and the CPU of the process."""

    calls: int
    p50: float
    p99: float
    own_p50: float
    own_p99: float
    cpu: float


Call = Callable[[], float]
"""One call; returns the seconds that it spent inside the SDK."""


def measure(call: Call, in_flight: int, seconds: float) -> Measured:
    """`call` from so many threads for about so many seconds, after a first round that is not counted.

    On a busy machine it ends after twice the time with fewer calls.
    """
    whole: list[float] = []
    own: list[float] = []
    each = max(2, round(seconds / LEVELS[in_flight]))
    ready = threading.Barrier(in_flight + 1, timeout=120)

    def work(_: int) -> None:
        call()
        ready.wait()
        ready.wait()
        end = time.perf_counter() + 2 * seconds
        for _ in range(each):
            begun = time.perf_counter()
            if begun > end:
                break
            inside = call()
            took = time.perf_counter() - begun
            whole.append(took)
            own.append(took - inside)

    with ThreadPoolExecutor(in_flight) as pool:
        done = [pool.submit(work, number) for number in range(in_flight)]
        ready.wait()
        cpu = time.process_time()
        ready.wait()
        for one in done:
            one.result()
        cpu = time.process_time() - cpu
    print(f"{in_flight} in flight: {len(whole)} calls", file=sys.stderr, flush=True)
    return Measured(len(whole), *(1000 * part for part in (*_points(whole), *_points(own), cpu / len(whole))))


def _points(values: Sequence[float]) -> tuple[float, float]:
    return statistics.median(values), statistics.quantiles(values, n=100)[98]


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The model server in a process of its own; its answer takes what the question's first line says."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.overhead", "--serve"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


def serve() -> None:
    from tests.kit.model_replies import Reply, Seen, ok
    from tests.kit.model_server import ModelServer

    server = ModelServer()

    def answer(seen: Seen) -> Reply:
        server.journal.clear()
        return ok(ANSWER).later(float(seen.user.partition("\n")[0].partition(" ")[2]))

    server.answer_by(answer)
    with server:
        print(server.openai_url, flush=True)
        sys.stdin.read()


# --- who is measured ----------------------------------------------------------------------------------


class Timed:
    """The real provider, and the time that this thread's last call spent in it."""

    name = "openai"

    def __init__(self, real: Any) -> None:
        self.real = real
        self.last = threading.local()

    def complete(self, request: Any, *, deadline_s: float) -> Any:
        begun = time.perf_counter()
        try:
            return self.real.complete(request, deadline_s=deadline_s)
        finally:
            self.last.seconds = time.perf_counter() - begun


class Setup:
    """The shipped table and prompt, and one mail to read."""

    def __init__(self, url: str) -> None:
        from pipeline.assembly import open_routes
        from pipeline.models.prompts import Prompts
        from pipeline.settings import load
        from pipeline.triage.schema import json_schema

        self.url = url
        self.prompts = Prompts(ROOT / "prompts")
        self.routes = open_routes(load(home=ROOT))
        self.schema = json_schema(self.routes.topics)

    def rendered(self, wait_s: float) -> Any:
        """The prompt, filled; its first line tells the server how long to take."""
        prompt = self.prompts.load("triage", "cheap").render(
            topics="\n".join(f"- {topic.name}: {topic.description}" for topic in self.routes.topics.values()),
            languages=", ".join(self.routes.languages),
            subject="My order",
            body=MESSAGE,
        )
        return replace(prompt, user=f"wait {wait_s}\n{prompt.user}")

    def request(self, wait_s: float) -> dict[str, Any]:
        """What goes over the wire, for those that know nothing of our door."""
        from pipeline.models.base import ModelRequest
        from pipeline.models.providers.openai import arguments

        prompt = self.rendered(wait_s)
        asked = ModelRequest("triage", MODEL, prompt.system, prompt.user, self.schema, "triage")
        return arguments(asked, official=False)

    def bare(self, wait_s: float) -> Call:
        """The SDK as it comes, one client, its retries off."""
        import openai

        request = self.request(wait_s)
        client = openai.OpenAI(api_key="k", base_url=self.url, max_retries=0, timeout=60)

        def call() -> float:
            json.loads(client.chat.completions.create(**request).choices[0].message.content)
            return 0.0

        return call

    def door(self, wait_s: float, ledger: Any) -> Call:
        """Prompt, gateway and ledger, with caps a day and a task as they are shipped."""
        from pipeline.models.base import Cap, Choice
        from pipeline.models.gateway import Context, Gateway, Plan
        from pipeline.models.prices import Prices
        from pipeline.models.providers.openai import OpenAIProvider

        provider = Timed(OpenAIProvider("k", self.url))
        gateway = Gateway({"openai": provider}, ledger, Prices())
        caps = tuple(
            Cap(scope, Decimal(10_000), "", alarm_at=0.8)
            for scope in ("day:2026-11-23", "week:2026-W48", "month:2026-11", "task:triage:2026-11-23")
        )
        choice = Choice(MODEL, "openai", MODEL, "cheap")
        plan = Plan((choice,), caps, {"cheap": 60.0}, max_output_tokens=1500)
        context = Context("triage", "cheap")

        def call() -> float:
            gateway.ask(
                plan,
                self.rendered(wait_s),
                context,
                schema=self.schema,
                schema_name="triage",
                input={},
                check=json.loads,
            )
            return float(provider.last.seconds)

        return call


@contextlib.contextmanager
def ledgers() -> Iterator[dict[str, Any]]:
    """A ledger in memory, in SQLite and in PostgreSQL, each on a fresh database."""
    from pipeline.db import schema
    from pipeline.db.store import Store
    from pipeline.models.ledger import ScratchLedger, StoreLedger
    from tests.kit import places

    with (
        tempfile.TemporaryDirectory(prefix="triage-bench-") as folder,
        places.postgres_server() as postgres,
        places.scratch_database(postgres) as url,
    ):
        stores = {"SQLite": Store(f"sqlite:///{folder}/triage.db"), "PostgreSQL": Store(url, pool_size=15)}
        for store in stores.values():
            schema.migrate(store)
        yield {"memory": ScratchLedger()} | {name: StoreLedger(store) for name, store in stores.items()}
        for store in stores.values():
            store.close()


def litellm(setup: Setup, python: str, seconds: float) -> dict[int, Measured]:
    """The same requests by LiteLLM's SDK, in its own environment, in flight → measured."""
    asked = {
        "url": setup.url,
        "seconds": seconds,
        "requests": {n: setup.request(wait) for n, wait in LEVELS.items()},
    }
    done = subprocess.run(
        [python, Path(__file__), "--litellm"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(f"NOT MEASURED: LiteLLM: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return {}
    return {int(n): Measured(**found) for n, found in json.loads(done.stdout.splitlines()[-1]).items()}


def measure_litellm() -> None:
    """In LiteLLM's environment: nothing of this project is imported here."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or it asks the network for prices
    import litellm as sdk  # type: ignore[import-not-found]

    asked = json.load(sys.stdin)
    sdk.drop_params = True
    found = {}
    for in_flight, request in asked["requests"].items():
        request = {**request, "model": f"openai/{MODEL}"}

        def call(request: dict[str, Any] = request) -> float:
            answer = sdk.completion(**request, api_base=asked["url"], api_key="k", num_retries=0, timeout=60)
            json.loads(answer.choices[0].message.content)
            return 0.0

        found[in_flight] = asdict(measure(call, int(in_flight), asked["seconds"]))
    print(json.dumps(found))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="for each line of the table")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--litellm", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve()
        return 0
    if given.litellm:
        measure_litellm()
        return 0
    return report(given.seconds)


def report(seconds: float) -> int:
    import structlog

    from tests.bench.classify import table

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    python = os.environ.get("TRIAGE_BENCH_LITELLM")
    rows = []
    with server() as url, ledgers() as kept:
        setup = Setup(url)
        others = litellm(setup, python, seconds) if python else {}
        for in_flight, wait_s in LEVELS.items():
            bare = measure(setup.bare(wait_s), in_flight, seconds)
            rows.append(_row(in_flight, "bare SDK", bare, bare))
            for name, ledger in kept.items():
                found = measure(setup.door(wait_s, ledger), in_flight, seconds)
                rows.append(_row(in_flight, f"our door, ledger in {name}", found, bare, own=True))
            if in_flight in others:
                rows.append(_row(in_flight, "LiteLLM", others[in_flight], bare))
    head = ["in flight", "by", "calls", "call p50", "p99", "own p50", "own p99", "CPU a call", "CPU ratio"]
    print(table(head, rows))
    print(
        "\nMilliseconds. The server takes "
        + ", ".join(f"{wait * 1000:.0f} ms at {n} in flight" for n, wait in LEVELS.items())
        + ". Own: prompt, door and ledger, the SDK's call excluded; it includes the wait for the other "
        "threads' work. CPU is the whole process's, the ratio is to the bare SDK of the same row group."
    )
    if not python:
        print("\nLiteLLM was not measured: TRIAGE_BENCH_LITELLM names no Python that has it.")
        print("SKIPPED FOR WANT OF A PART: LiteLLM; set TRIAGE_BENCH_LITELLM", file=sys.stderr)
    return 0


def _row(in_flight: int, name: str, found: Measured, bare: Measured, *, own: bool = False) -> list[Any]:
    ours = [f"{found.own_p50:.1f}", f"{found.own_p99:.1f}"] if own else ["", ""]
    return [
        in_flight,
        name,
        found.calls,
        f"{found.p50:.1f}",
        f"{found.p99:.1f}",
        *ours,
        f"{found.cpu:.2f}",
        f"{found.cpu / bare.cpu:.2f}",
    ]


if __name__ == "__main__":
    sys.exit(main())
