"""Gathers readings whose truth is known, fits the confidence on them, and says which threshold keeps a promise.

The truth comes from what people made of past tickets, or from cases that somebody labelled.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa

from pipeline.assembly import Brain
from pipeline.db.store import Store
from pipeline.db.tables import corrections, drafts, reviews, shadows, triages
from pipeline.errors import AllModelsFailed, ConfigError, InputError
from pipeline.evaluation.scores import Calibration as Reliability
from pipeline.evaluation.scores import calibration as reliability
from pipeline.evaluation.triage_cases import RECEIVED, TriageCase, read_triage_cases
from pipeline.models.gateway import Context
from pipeline.models.policy import BUDGET
from pipeline.models.prices import FREE
from pipeline.reports.shadows import Missed, missed_escalations
from pipeline.routing.table import LOCAL
from pipeline.triage import fitting
from pipeline.triage.calibration import ROUTING_CRITICAL, Curve, Signals, kept_if_sure, weighs
from pipeline.triage.fitting import FEWEST_ROWS, Proposal, Row
from pipeline.triage.reading import only, read

AT_ONCE = 8
REWRITTEN = ("rewritten", "replaced", "rejected")
JUDGED = ("as_is", "light", "heavy", *REWRITTEN)

_CAPPED = "a spend cap stopped the run before they were read"
_FAILED = "the model gave no usable answer"
_UNJUDGED = "nobody has judged them yet"


@dataclass(frozen=True)
class Gathered:
    """Readings of one model under one prompt, with their truth. `left_out` says why others are not there."""

    model: str
    prompt: str
    source: Literal["cases", "tickets"]
    where: str
    rows: tuple[Row, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    missed: tuple[Missed, ...] = ()


def from_cases(brain: Brain, path: Path, model: str | None, step: Callable[[], None]) -> Gathered:
    """Read every case of the file by the model (None: the table's), within the table's caps.

    Raises `InputError` for the cases, `ConfigError` where the model cannot be asked.
    """
    key = model or brain.routes.tasks["triage"].model
    plan = only(brain.plan("triage", model=key), key)
    if plan is None:
        raise ConfigError(f"no key is set for {key}; set its provider's key, or name another with --model")
    cases = read_triage_cases(path, brain.routes.topics)
    other = brain.routes.tasks["triage"].second_model
    second = only(brain.plan("triage", model=other), other) if other else None
    if LOCAL in (key, second and other):
        brain.warm()  # its training is nothing that a case should wait for

    def put(case: TriageCase) -> Row | str:
        try:
            reading = read(
                brain.gateway,
                brain.prompts,
                plan,
                Context(task="triage", route="cheap"),
                brain.routes,
                subject=case.subject,
                body=case.body,
                received=RECEIVED,
                second=second,
            )
        except AllModelsFailed as error:
            return _CAPPED if BUDGET in error.kinds else _FAILED
        kept = kept_if_sure(reading.decision.route, reading.decision.reasons)
        return Row(reading.signals, _is_right(reading.answer.model_dump(), case), kept)

    with ThreadPoolExecutor(1 if plan.choices[0].provider in FREE else AT_ONCE) as pool:
        waiting = [pool.submit(put, case) for case in cases]
        for done in as_completed(waiting):
            done.result()
            step()
        found = [done.result() for done in waiting]
    prompt = brain.prompts.load("triage", "cheap").digest
    left_out = Counter(each for each in found if isinstance(each, str))
    rows = tuple(each for each in found if isinstance(each, Row))
    return Gathered(key, prompt, "cases", f"the cases of {path}", rows, left_out)


def from_tickets(brain: Brain, store: Store, model: str | None, since: datetime) -> Gathered:
    """What people made of the readings of the model (None: the table's) since then, under the present prompt.

    Wrong is a reading of which somebody corrected what the route hangs on, whose message the strong model
    would have escalated, or whose cheap draft, written by a model, an agent rewrote, replaced or rejected:
    the weekly report counts that as a missed escalation too. Right is any other that an agent judged.
    """
    key = model or next((choice.key for choice in brain.plan("triage").choices), LOCAL)
    prompt = brain.prompts.load("triage", "cheap").digest
    wanted = [triages.c.model == key, triages.c.created_at >= since]
    if key != LOCAL:  # which reads no prompt
        wanted.append(triages.c.prompt == prompt)
    with store.read() as connection:
        fixed: dict[int, dict[str, Any]] = {}
        of_these = sa.select(triages.c.id).where(*wanted)
        for row in connection.execute(
            sa.select(corrections).where(corrections.c.triage_id.in_(of_these)).order_by(corrections.c.id)
        ):
            fixed.setdefault(row.triage_id, {})[row.field] = row.new
        judged = {
            row.message_id: row
            for row in connection.execute(
                sa.select(drafts.c.message_id, drafts.c.route, drafts.c.source, reviews.c.outcome)
                .join(reviews, reviews.c.draft_id == drafts.c.id)
                .join(triages, triages.c.message_id == drafts.c.message_id)
                .where(*wanted, reviews.c.decided_by.is_not(None), reviews.c.outcome.in_(JUDGED))
                .order_by(reviews.c.id)
            )
        }
        missed = set(
            connection.execute(
                sa.select(shadows.c.triage_id).where(
                    shadows.c.missed.is_(True), shadows.c.triage_id.in_(of_these)
                )
            ).scalars()
        )
        readings = connection.execute(sa.select(triages).where(*wanted).order_by(triages.c.id)).all()
        shadowed = missed_escalations(connection, since)
    rows: list[Row] = []
    unjudged = 0
    for reading in readings:
        corrected = fixed.get(reading.id, {})
        review = judged.get(reading.message_id)
        if review is None and not corrected and reading.id not in missed:
            unjudged += 1
            continue
        wrong = reading.id in missed or any(
            weighs(name, corrected[name]) != weighs(name, getattr(reading, name))
            for name in ROUTING_CRITICAL
            if name in corrected
        )
        if review is not None and review.route == "cheap" and review.source == "model":
            wrong = wrong or review.outcome in REWRITTEN
        stated = reading.confidence if reading.stated is None else reading.stated
        signals = Signals(stated, reading.certainty, reading.agreed)
        rows.append(Row(signals, not wrong, kept_if_sure(reading.route, reading.reasons)))
    where = f"the reviewed tickets since {since:%Y-%m-%d}"
    left_out = {_UNJUDGED: unjudged} if unjudged else {}
    return Gathered(key, prompt, "tickets", where, tuple(rows), left_out, shadowed)


def _is_right(answer: Mapping[str, Any], case: TriageCase) -> bool:
    """Whether the answer is right in all that the route hangs on and the case states."""
    expect = case.expect
    if answer["topic"] not in (expect.topic, *expect.topic_also):
        return False
    stated = {name: getattr(expect, name) for name in ROUTING_CRITICAL if name != "topic"}
    return all(
        weighs(name, wanted) == weighs(name, answer[name])
        for name, wanted in stated.items()
        if wanted is not None
    )


@dataclass(frozen=True)
class Result:
    """What a calibration found. `before` is without a curve, `after` on rows that its curve did not see."""

    gathered: Gathered
    curve: Curve
    before: Reliability
    after: Reliability
    proposal: Proposal
    present: float
    routes: Path

    @property
    def answer(self) -> str:
        """One sentence: what to set, or why nothing can be promised."""
        found = self.proposal
        if found.threshold is not None:
            line = _line_of(self.routes, "confidence_below")
            return (
                f"Set confidence_below = {found.threshold:.2f} in {self.routes}{line} (now {self.present:.2f}): "
                f"{found.share:.0%} of the messages stay cheap, with errors in at most {found.bound:.1%} "
                f"of them (95% bound; seen: {found.errors} of {found.of})."
            )
        seen = f"of the {found.of} that went best, {found.errors} were wrong"
        if found.needed is None:
            return (
                f"No threshold keeps errors under {found.target:.1%}: {seen}, and more rows would not change "
                "that; take a better model or prompt, or a higher --target."
            )
        return (
            f"No threshold can be shown to keep errors under {found.target:.1%} with {len(self.gathered.rows)} "
            f"rows: {seen}; it would take about {found.needed:,} rows."
        )

    def to_json(self) -> dict[str, Any]:
        found, gathered = self.proposal, self.gathered
        return {
            "model": gathered.model,
            "prompt": gathered.prompt,
            "source": gathered.source,
            "rows": len(gathered.rows),
            "right": sum(row.right for row in gathered.rows),
            "left_out": dict(gathered.left_out),
            "method": self.curve.method,
            "before": self.before.to_json(),
            "after": self.after.to_json(),
            "target": found.target,
            "threshold": found.threshold,
            "present_threshold": self.present,
            "kept_share": round(found.share, 4),
            "errors": found.errors,
            "kept": found.of,
            "error_bound": round(found.bound, 4),
            "rows_needed": found.needed,
            "missed_escalations": [
                {"by": kind, "of": name, "missed": each.share.count, "read": each.share.of}
                for each in gathered.missed
                for kind, name in [each.key]
            ],
            "answer": self.answer,
        }

    def lines(self) -> list[str]:
        """For people; the answer last."""
        gathered, rows = self.gathered, self.gathered.rows
        found = [
            f"{gathered.model} with prompt triage/cheap {gathered.prompt}, on {gathered.where}",
            f"{len(rows)} rows, {sum(row.right for row in rows)} right in topic, urgency, emotion and clarity",
            *[f"{number} left out: {why}" for why, number in gathered.left_out.items()],
            f"{_METHODS[self.curve.method]}; signals: {', '.join(self._signals())}",
            "",
            f"calibration error (ECE): {self.before.ece:.3f} before, {self.after.ece:.3f} after, on rows "
            "that the fit did not see",
            "  confidence    rows   said  right",
            *[
                f"  {each.start:.1f} to {each.end:.1f}  {each.answers:6}  {each.mean_confidence:5.2f}  "
                f"{each.right:5.2f}"
                for each in self.after.bins
            ],
            "",
        ]
        if gathered.missed:
            found.append("missed escalations, by the sample that the strong model read as well")
            found += [
                f"  {' '.join(each.key).strip():28} {each.share.in_words()}" for each in gathered.missed
            ]
            found.append("")
        return [*found, self.answer]

    def _signals(self) -> list[str]:
        weights = self.curve.weights
        named = {
            "stated confidence": weights.stated,
            "label tokens": weights.certainty,
            "second reader": weights.agreed,
        }
        return [name for name, weight in named.items() if weight] or ["none that tells anything"]


_METHODS = {"platt": "fitted by Platt's method", "isotonic": "fitted by isotonic regression"}


def calibrate(brain: Brain, gathered: Gathered, target: float) -> Result:
    """Fit, measure by cross-validation, and look for the threshold. Raises `InputError` for too few rows."""
    rows = gathered.rows
    if len(rows) < FEWEST_ROWS:
        why = "".join(f"; {number} left out: {words}" for words, number in gathered.left_out.items())
        mend = (
            "review more tickets, or use labelled cases: --from cases"
            if gathered.source == "tickets"
            else "write more cases, or name another file with --cases"
        )
        raise InputError(
            f"{gathered.where} hold {len(rows)} readings by {gathered.model} with known truth{why}; "
            f"at least {FEWEST_ROWS} are needed: {mend}"
        )
    curve = fitting.fit(rows, model=gathered.model, prompt=gathered.prompt, source=gathered.source)
    after = fitting.held_out(rows, curve.method)
    right = [row.right for row in rows]
    told = [reliability(list(zip(by, right, strict=True))) for by in (fitting.before(rows), after)]
    assert told[0] is not None
    assert told[1] is not None
    return Result(
        gathered=gathered,
        curve=curve,
        before=told[0],
        after=told[1],
        proposal=fitting.propose(after, rows, target),
        present=brain.routes.rule.confidence_below,
        routes=brain.routes.path,
    )


def _line_of(path: Path, key: str) -> str:
    """`:87`, the line of a key in routes.toml; empty where the key is left to its default."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if re.match(rf"\s*{key}\s*=", line):
            return f":{number}"
    return ""
