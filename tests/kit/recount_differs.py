"""A report's JSON form beside `recount`'s figures: where the two disagree."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from pipeline.db.store import Store
from pipeline.reports.export import export
from tests.kit.recount import EVERY_CUT, WHAT


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
