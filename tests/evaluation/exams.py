"""Cases of triage for tests, and what a perfect reader answers to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.assembly import Brain
from pipeline.evaluation import Result, Wish, evaluate
from pipeline.triage.schema import FIELD_KINDS
from tests.kit.model_replies import Seen

CASES: list[dict[str, Any]] = [
    {
        "id": "invoice",
        "subject": "Invoice",
        "body": "Please send me the invoice for order AB-1042 again, the PDF is damaged.",
        "expect": {
            "topic": "billing",
            "language": "en",
            "clarity": "clear",
            "route": "cheap",
            "order_numbers": ["AB-1042"],
        },
    },
    {
        "id": "kuendigung",
        "subject": "Kündigung",
        "body": "Hiermit kündige ich mein Abonnement zum Monatsende. Bitte bestätigen Sie die Kündigung.",
        "expect": {"topic": "cancellation", "language": "de", "route": "strong", "order_numbers": []},
    },
    {
        "id": "mot-de-passe",
        "subject": None,
        "body": "Bonjour, je n'arrive plus à me connecter, le mot de passe est refusé.",
        "expect": {"topic": "account_access", "language": "fr"},
    },
]


def many(number: int) -> list[dict[str, Any]]:
    """So many cases, each with a word of its own in its body."""
    return [
        {
            "id": f"case-{n:03}",
            "subject": "Invoice",
            "body": f"Please send the invoice once more, for shelf w{n:03}x.",
            "expect": {"topic": "billing", "language": "en"},
        }
        for n in range(number)
    ]


def file_of(folder: Path, *rows: Any) -> Path:
    path = folder / "cases.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows or CASES), encoding="utf-8")
    return path


def right_answer(seen: Seen) -> dict[str, Any]:
    """What a perfect reader answers to CASES and to `many`."""
    case = next((case for case in CASES if str(case["body"]) in seen.user), None)
    return reading(case["expect"] if case else {"topic": "billing", "language": "en"})


def reading(expect: Any, **changed: Any) -> dict[str, Any]:
    numbers = [{"value": value, "normalised": None} for value in expect.get("order_numbers", [])]
    return {
        "topic": expect["topic"],
        "other_topics": [],
        "confidence": 0.95,
        "language": expect["language"],
        "urgency": "normal",
        "emotion": "calm",
        "clarity": "clear",
        "fields": {kind: [] for kind in FIELD_KINDS} | {"order_numbers": numbers},
        "summary": "A message.",
    } | changed


def triage(
    brain: Brain, models: list[str] | None, cases: Path | None, step: Any = lambda: None, **more: Any
) -> Result:
    """One run of triage."""
    return only(evaluate(brain, Wish(task="triage", models=models, cases=cases, **more), step))


def only(results: list[Result]) -> Result:
    assert len(results) == 1
    return results[0]
