"""What routing pays: a thousand foreign tickets priced all-strong, and as the table routes them.

    .venv/bin/python -m tests.bench.money [--data DIR] [--rows N] [--seed N]

Every prompt is the real one, rendered by the real steps through the real gateway; its tokens are counted with
the o200k vocabulary (both providers' own counts differ by some per cent, for all rows alike). Readings and
the escalation are the built-in model's and the rule's. A model's reading is as long as the built-in one's; a
draft is as long as what people wrote in real threads (threads-dev.jsonl), in the draft's JSON. Failed calls
and retries are left out. Prices are those of the price data that is installed, on the day of the run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from pipeline.assembly import Brain, open_brain
from pipeline.drafting.draft import write_draft
from pipeline.drafting.threads import Thread, ThreadMessage
from pipeline.logging import configure
from pipeline.models.base import Choice, ModelAnswer, ModelRequest, Provider, Usage
from pipeline.models.gateway import Context, Gateway
from pipeline.models.ledger import ScratchLedger
from pipeline.models.prices import Prices
from pipeline.routing.table import LOCAL, TEMPLATES, Budgets
from pipeline.settings import load
from pipeline.triage.reading import Reading, read
from tests.bench.classify import read_rows, table

POLICY = Path(__file__).parents[2] / "pipeline" / "samples" / "policy.md"
CACHED_FROM = 1024
"""Tokens that a stable prefix needs before either provider caches it."""


@dataclass(frozen=True)
class Call:
    """One call's tokens. `prefix` is the part of the input that is the same from call to call."""

    prefix: int
    input: int
    output: int

    def usage(self, cached: bool) -> Usage:
        hit = self.prefix if cached and self.prefix >= CACHED_FROM else 0
        return Usage(input_tokens=self.input, cached_input_tokens=hit, output_tokens=self.output)


@dataclass
class Priced:
    """One ticket's calls, had each stage been asked of a model."""

    triage: Call
    draft: Call
    """The draft that the rule wants: routine or strong."""
    strong_draft: Call
    one: Call
    """Reading and draft asked for at once."""
    escalated: bool
    reasons: tuple[str, ...]


class Counting:
    """Answers as the built-in parts do, and keeps what was asked."""

    def __init__(self, name: str, built_in: dict[str, Provider]) -> None:
        self.name = name
        self._built_in = built_in
        self.asked: list[tuple[ModelRequest, str]] = []

    def complete(self, request: ModelRequest, *, deadline_s: float) -> ModelAnswer:
        part = self._built_in[LOCAL if request.task == "triage" else TEMPLATES]
        answer = part.complete(request, deadline_s=deadline_s)
        self.asked.append((request, answer.text))
        return ModelAnswer(answer.text, Usage(input_tokens=1, output_tokens=1), request.model)


@dataclass
class Tokens:
    """Counts with the o200k vocabulary; texts that come again are counted once."""

    kept: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        import bpe_openai

        self._encode = bpe_openai.get_encoding("o200k_base").encode_ordinary

    def of(self, text: str) -> int:
        if text not in self.kept:
            self.kept[text] = len(self._encode(text))
        return self.kept[text]


def ask(
    brain: Brain, counting: Counting, row: dict[str, Any]
) -> tuple[Reading, list[ModelRequest], list[str]]:
    """One ticket through triage and both drafts; what was asked and what was answered, in order."""
    counting.asked.clear()
    gateway = brain.gateway
    reading = read(
        gateway,
        brain.prompts,
        brain.plan("triage", model=LOCAL),  # its own readings, judged by the threshold that is meant for it
        Context("triage", "cheap"),
        brain.routes,
        subject=row["subject"],
        body=row["body"],
    )
    answer = reading.answer
    thread = Thread(
        messages=(ThreadMessage("customer", row["body"], None),),
        subject=row["subject"] or "",
        topic=answer.topic,
        language=answer.language,
        fields=answer.fields.to_json(),
        emotion=answer.emotion,
        customer_name=None,
        sender_name="The support team",
        account=None,
        policy=brain.policy,
        reasons=reading.decision.reasons,
    )
    for task, strong in (("routine", False), ("draft", True)):
        plan, context = brain.plan(task), Context(task, "strong" if strong else "cheap")
        write_draft(gateway, brain.prompts, plan, context, thread, strong=strong)
    return reading, [request for request, _ in counting.asked], [text for _, text in counting.asked]


def priced(
    brain: Brain, counting: Counting, tokens: Tokens, row: dict[str, Any], reply: str
) -> Priced | None:
    reading, asked, answers = ask(brain, counting, row)
    if len(asked) != 3:  # an answer that failed its check was asked for again: not what is priced here
        return None
    calls = []
    for request, text in zip(asked, answers, strict=True):
        if request.task != "triage":
            text = json.dumps(json.loads(text) | {"reply": reply}, ensure_ascii=False)
        schema = tokens.of(json.dumps(request.schema))
        prefix = tokens.of(request.system) + schema
        calls.append(Call(prefix, prefix + tokens.of(request.user), tokens.of(text)))
    triage, routine, strong = calls
    both = Call(
        triage.prefix + strong.prefix,
        # the message stands once; the strong draft's user part holds the thread and what is known of it
        triage.prefix + strong.input,
        triage.output + strong.output,
    )
    escalated = reading.decision.route == "strong"
    return Priced(triage, strong if escalated else routine, strong, both, escalated, reading.decision.reasons)


def cost(prices: Prices, choice: Choice, calls: Sequence[Call], cached: bool) -> Decimal:
    return sum((prices.cost(choice, call.usage(cached)) for call in calls), Decimal(0))


def lines(found: Sequence[Priced], cheap: Choice, routine: Choice, strong: Choice) -> Iterator[str]:
    rows = []
    kept = [one for one in found if not one.escalated]
    lifted = [one for one in found if one.escalated]
    for batch, cached in ((False, False), (False, True), (True, False), (True, True)):
        prices = Prices(batch=batch)
        way = f"{'batch' if batch else 'live'}, {'with' if cached else 'without'} caching"
        whole = cost(prices, strong, [one.one for one in found], cached)
        fair = cost(prices, strong, [one.triage for one in found], cached)
        fair += cost(prices, strong, [one.strong_draft for one in found], cached)
        triage = cost(prices, cheap, [one.triage for one in found], cached)
        easy = cost(prices, routine, [one.draft for one in kept], cached)
        hard = cost(prices, strong, [one.draft for one in lifted], cached)
        ours = triage + easy + hard
        scale = Decimal(1000) / len(found)
        rows.append(
            (
                way,
                *(f"${value * scale:.3f}" for value in (whole, fair, triage, easy, hard, ours)),
                f"{ours / whole:.1%}",
                f"{ours / fair:.1%}",
            )
        )
    yield table(
        (
            "per 1,000 tickets",
            "all strong, one call",
            "strong reading + strong draft",
            "cheap: reading",
            "cheap: routine drafts",
            "strong: drafts",
            "by the table",
            "of all strong",
            "of strong + strong",
        ),
        rows,
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    default = os.environ.get("TRIAGE_TEST_DATA") or Path(__file__).parents[3] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=23)
    chosen = parser.parse_args(argv)
    if not (chosen.data / "tickets-dev.jsonl").exists():
        print(f"no tickets-dev.jsonl in {chosen.data}; set TRIAGE_TEST_DATA", file=sys.stderr)
        return 1
    configure("auto", "warning")
    rng = random.Random(chosen.seed)
    rows = rng.sample(read_rows(chosen.data / "tickets-dev.jsonl"), chosen.rows)
    replies = [
        message["text"]
        for thread in read_rows(chosen.data / "threads-dev.jsonl")
        for message in thread["messages"]
        if message["role"] != "customer" and message["text"].strip()
    ]
    with tempfile.TemporaryDirectory() as home:
        settings = load().model_copy(update={"home": Path(home), "policy": POLICY})
        brain = open_brain(settings)
        brain.warm()
        counting = {name: Counting(name, dict(brain.providers)) for name in (LOCAL, "openai", "anthropic")}
        asked = counting["openai"].asked
        counting["anthropic"].asked = counting[LOCAL].asked = asked
        brain.providers = {**brain.providers, **counting}
        brain.gateway = Gateway(brain.providers, ScratchLedger(), Prices())
        found = []
        tokens = Tokens()
        brain.routes = replace(brain.routes, budgets=Budgets())
        for row in rows:
            one = priced(brain, counting["openai"], tokens, row, rng.choice(replies))
            if one is not None:
                found.append(one)
        task = {name: brain.plan(name).choices[0] for name in ("triage", "routine", "draft")}
    share = sum(one.escalated for one in found) / len(found)
    print(
        f"{len(found)} tickets of tickets-dev.jsonl (seed {chosen.seed}), {share:.1%} escalated by the rule; "
        f"`{task['triage'].key}` reads and drafts what is kept, `{task['draft'].key}` drafts what is not.\n"
    )
    words = Counter(
        re.sub(r"[“(][^”)]*[”)]|[\d.]+", "…", reason)
        for one in found
        if one.escalated
        for reason in one.reasons
    )
    print(
        table(
            ("why escalated", "of all tickets"),
            [(reason, f"{n / len(found):.1%}") for reason, n in words.most_common(12)],
        )
    )
    print(
        table(
            ("tokens, median", "same in every call", "input", "output"),
            [
                (
                    name,
                    *(
                        int(statistics.median(getattr(one, part).__dict__[key] for one in of))
                        for key in ("prefix", "input", "output")
                    ),
                )
                for name, part, of in (
                    ("reading", "triage", found),
                    ("routine draft", "draft", [one for one in found if not one.escalated]),
                    ("strong draft", "strong_draft", found),
                    ("all strong, one call", "one", found),
                )
            ],
        )
    )
    for line in lines(found, task["triage"], task["routine"], task["draft"]):
        print(line)
    print(
        "The targets are at most 20% of all strong and at most 30% of the fair second baseline. "
        "The escalation share that would meet them, at these prices and without caching: "
        f"{break_even(found, task):.1%}."
    )
    return 0


def break_even(found: Sequence[Priced], task: dict[str, Choice]) -> float:
    """The escalation share at which the table costs 20% of all-strong, live and without caching."""
    prices = Prices()
    n = len(found)
    whole = cost(prices, task["draft"], [one.one for one in found], False) / n
    triage = cost(prices, task["triage"], [one.triage for one in found], False) / n
    kept = [one.draft for one in found if not one.escalated]
    easy = cost(prices, task["routine"], kept, False) / max(1, len(kept))
    hard = cost(prices, task["draft"], [one.strong_draft for one in found], False) / n
    return max(0.0, float((whole / 5 - triage - easy) / (hard - easy)))


if __name__ == "__main__":
    sys.exit(main())
