"""A report's JSON form beside `recount`'s figures: where the two disagree.

`python -m tests.kit.recount_differs HOME` compares every week of a store that `triage simulate` filled.
"""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from pipeline.db.store import Store
from pipeline.models.base import Choice, Price
from pipeline.reports.export import export
from pipeline.reports.measures import report
from pipeline.reports.rendering import as_json
from pipeline.reports.weeks import Week
from tests.kit.recount import EVERY_CUT, WHAT, recount


def exported(store: Store) -> dict[str, list[dict[str, Any]]]:
    """What `triage export` writes, of every kind that the report counts."""
    found = {}
    for what in WHAT:
        out = io.StringIO()
        export(store, what, None, "jsonl", out)
        found[what] = [json.loads(line) for line in out.getvalue().splitlines()]
    return found


def differences(document: Mapping[str, Any], counted: Mapping[str, Any]) -> list[str]:
    """Where a report's JSON form and the recount disagree, a line each; empty is what a test wants."""
    shaped = dict(document)
    shaped["cuts"] = {
        " ".join(cut["by"]): {tuple(group["key"]): group["outcomes"] for group in cut["groups"]}
        for cut in document["cuts"]
        if " ".join(cut["by"]) in EVERY_CUT
    }
    shaped["corrected"] = {row["field"]: (row["share"], dict(row["by"])) for row in document["corrected"]}
    shaped["escalation"] = document["escalation"] | {"reasons": dict(document["escalation"]["reasons"])}
    for name in ("guard", "guard_before"):
        shaped[name] = document[name] | {"verdicts": dict(document[name]["verdicts"])}
    shaped["friction"] = document["friction"] | {"retries": dict(document["friction"]["retries"])}
    key = ("route", "task", "model", "provider")
    shaped["calls"] = {
        tuple(row[name] for name in key): {
            name: Decimal(value) if name == "cost_usd" else value
            for name, value in row.items()
            if name not in key
        }
        for row in document["calls"]
    }
    shaped["call_errors"] = {(model, kind): count for model, kind, count in document["call_errors"]}
    shaped["costs"] = {
        name: Decimal(value) if name.endswith("_usd") and value is not None else value
        for name, value in document["costs"].items()
        if name != "all_strong_how"
    }
    shaped["failures"] = dict(document["failures"])
    shaped["shadows"] = {tuple(row["key"]): row["share"] for row in document["shadows"]}
    shaped["spent"] = {row["scope"]: Decimal(row["spent_usd"]) for row in document["spent"]}
    found = dict(counted)
    found["spent"] = {scope: usd for scope, usd in counted["spent"].items() if scope in shaped["spent"]}
    return list(_apart("", {name: shaped[name] for name in found}, found))


def _apart(where: str, said: Any, counted: Any) -> Iterable[str]:
    if isinstance(said, Mapping) and isinstance(counted, Mapping):
        for name in sorted({*said, *counted}, key=str):
            yield from _apart(f"{where}/{name}", said.get(name), counted.get(name))
    elif isinstance(said, list | tuple) and isinstance(counted, list | tuple) and len(said) == len(counted):
        for n, (one, other) in enumerate(zip(said, counted, strict=True)):
            yield from _apart(f"{where}/{n}", one, other)
    elif isinstance(said, float | Decimal) and isinstance(counted, float | int | Decimal):
        if not math.isclose(float(said), float(counted), rel_tol=1e-9, abs_tol=1e-9):
            yield f"{where}: the report says {said}, the rows say {counted}"
    elif said != counted:
        yield f"{where}: the report says {said}, the rows say {counted}"


def _leaves(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(_leaves(item) for item in value.values())
    return sum(_leaves(item) for item in value) if isinstance(value, list | tuple) else 1


def main(home: Path) -> int:
    """Print what every week's comparison found; 1 if any figure differs."""
    truth = json.loads((home / "truth.json").read_text(encoding="utf-8"))
    store = Store(f"sqlite:///{home / 'triage.db'}")
    rows, dear = (
        exported(store),
        Choice("big", "openai", "no-such-model", "strong", price=Price("3", "15", "0.3")),
    )
    first, last = (datetime.fromisoformat(truth[name]) for name in ("start", "until"))
    made_at = last + timedelta(days=1)
    weeks = [Week.of(first + timedelta(weeks=n)) for n in range((last - first).days // 7)]
    compared, apart = 0, []
    for week in weeks:
        made = as_json(report(store, week, made_at=made_at, strong=dear))
        counted = recount(rows, str(week), "UTC", made_at, strong_price=("3", "0.3", "15"))
        compared += _leaves(counted)
        apart += [f"{week}{line}" for line in differences(made, counted)]
    store.close()
    told = f"{truth['tickets']} tickets, {sum(map(len, rows.values()))} exported rows"
    print(f"{len(weeks)} weeks of {told}: {compared} figures, {len(apart)} differ")
    for line in apart:
        print(line)
    return 1 if apart else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
