"""Suggestions on the prompts of drafts: a line against what agents reject, a line for a language that fares badly.

Only drafts of the prompt in force count: what a changed prompt did is no reason to change the new one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

from pipeline.errors import ConfigError
from pipeline.models.base import Usage
from pipeline.models.prices import Prices
from pipeline.models.prompts import read_prompt
from pipeline.reports import edits, evidence
from pipeline.reports.edits import Edit
from pipeline.reports.evidence import Judged
from pipeline.reports.failures import PROMPTS as CHEAP
from pipeline.reports.rates import SMALL, Share
from pipeline.reports.suggested import ENOUGH, FAILING, Evidence, Looked, Suggestion, high, link, low
from pipeline.routing.planning import choices

PROMPTS = {"routine": CHEAP["routine"], "draft": "draft/strong"}
AGAINST: dict[str, tuple[str, str]] = {
    "wrong_facts": (
        "fact",
        "State a fact only where the thread, the account facts or the team policy says it in so many words; "
        "where they are silent, say that it is being looked at.",
    ),
    "wrong_tone": (
        "greeting",
        "Keep the tone of a careful colleague: warm, plain and polite; no stock phrases, no cheer where the "
        "customer is upset, no blame.",
    ),
    "wrong_language": (
        "language",
        "The whole reply stands in the language named in the request, greeting and sign-off included, even "
        "where the thread is in another one.",
    ),
    "missed_question": (
        "matter",
        "Before you write, list for yourself every question of the newest message; the reply answers each of "
        "them, or says who will.",
    ),
    "promised_too_much": (
        "refund",
        "Announce nothing that a person still has to decide: no refund, date or exception that the team "
        "policy does not grant in so many words.",
    ),
}
"""By the reason of the rejection: the word by which the line's place in the prompt is found, and the line."""
_NAMES = {"de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "nl": "Dutch", "pt": "Portuguese",
          "pl": "Polish", "ja": "Japanese", "zh": "Chinese", "sv": "Swedish", "da": "Danish"}  # fmt: skip


def found(week: Looked) -> Iterator[Suggestion]:
    for task, name in PROMPTS.items():
        if week.prompts is None:
            continue
        path = week.prompts / f"{name}.md"
        text = edits.read(path)
        try:
            digest = read_prompt(path, name).digest
        except ConfigError:
            continue
        prompt = f"{task} {digest[:8]}"
        rows = [row for row in week.those(prompt=prompt, source="model") if row.digest == digest]
        if text is not None and rows:
            yield from _reasons(week, f"{week.prompts.name}/{name}.md", text, task, prompt, rows)
            yield from _languages(week, f"{week.prompts.name}/{name}.md", text, task, prompt, rows)


def _reasons(
    week: Looked, file: str, text: str, task: str, prompt: str, rows: list[Judged]
) -> Iterator[Suggestion]:
    reasons = Counter(row.reject_reason for row in rows if row.outcome == "rejected")
    for reason, count in reasons.most_common(1):
        share = Share(count, len(rows))
        if reason not in AGAINST or count < SMALL or 2 * count < reasons.total() or low(share) < FAILING:
            continue
        near, line = AGAINST[reason]
        said = reason.replace("_", " ")
        yield from week.made(
            "prompt",
            f"Add a line against “{said}” to {file}: the most frequent reason of rejection.",
            _change(file, text, line, near),
            (
                Evidence(
                    f"drafts of {prompt} rejected for “{said}”: {share.with_interval()}",
                    link("drafts", prompt=prompt, source="model", reason=reason),
                ),
            ),
            float(count),
            _dearer(week, task, line, len(rows)),
            f"at most {week.in_words(count, _dearer(week, task, line, len(rows)))}",
        )


def _languages(
    week: Looked, file: str, text: str, task: str, prompt: str, rows: list[Judged]
) -> Iterator[Suggestion]:
    for language in sorted({row.dims["language"] for row in rows} - {"en"}):
        own = evidence.share([row for row in rows if row.dims["language"] == language])
        others = evidence.share([row for row in rows if row.dims["language"] != language])
        if own.of < ENOUGH or others.small or low(own) <= high(others):
            continue
        name = _NAMES.get(language, f"the language {language}")
        line = (
            f"A reply in {name} reads as a native speaker writes to a customer: its polite form throughout, no "
            "sentence carried over from English word by word."
        )
        asked = {"prompt": prompt, "source": "model", "outcome": "rewrite"}
        saved = own.of * ((own.value or 0.0) - (others.value or 0.0))
        dearer = _dearer(week, task, line, len(rows))
        yield from week.made(
            "language",
            f"Add a line on {name} to {file}: those replies are rewritten more often than all others.",
            _change(file, text, line, "language"),
            (
                Evidence(
                    f"drafts of {prompt} in {language}: {own.with_interval()} rewritten",
                    link("drafts", **asked, language=language),
                ),
                Evidence(f"in all other languages: {others.with_interval()} rewritten"),
            ),
            saved,
            dearer,
            f"at most {week.in_words(saved, dearer)}",
        )


def _change(file: str, text: str, line: str, near: str) -> Edit | None:
    return None if line in text else edits.edit(file, text, edits.add_rule(text, line, near))


def _dearer(week: Looked, task: str, line: str, count: int) -> Decimal | None:
    """What the line's tokens cost in so many drafts, at about four characters a token."""
    row = week.routes.tasks.get(task)
    if row is None or row.model not in week.routes.models:
        return Decimal(0)
    model = next(iter(choices(week.routes, row, {week.routes.models[row.model].provider})), None)
    prices = Prices()
    if model is None or not prices.known(model):
        return None
    return prices.cost(model, Usage(input_tokens=len(line) // 4 * count))
