"""The weekly report once more, in plain Python, out of the rows of `triage export` alone.

It shares no code with the report and uses no database: docs/report.md is its only source. `recount` gives the
figures in the shape of the report's JSON form, so that a test compares the two. What the report concludes from
them (movers, the most rewritten drafts, groups of failures, suggestions) is not counted again here.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

Rows = Mapping[str, list[dict[str, Any]]]
WHAT = (
    "tickets", "messages", "raw", "triages", "corrections", "shadows", "drafts", "comparisons", "reviews",
    "second_reads", "typed", "replies", "calls", "spend", "reports", "moves",
)  # fmt: skip
OUTCOMES = ("as_is", "light", "heavy", "rewritten", "replaced", "rejected", "expired", "unscorable")
EVERY_CUT = ("topic route", "route", "topic", "language", "model", "prompt", "source", "inbox")


def when(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def bounds(week: str, zone: str) -> tuple[datetime, datetime]:
    monday = datetime.strptime(f"{week}-1", "%G-W%V-%u").date()

    def midnight(day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))

    return midnight(monday), midnight(monday + timedelta(days=7))


def earlier(week: str, weeks: int) -> str:
    monday = datetime.strptime(f"{week}-1", "%G-W%V-%u") - timedelta(weeks=weeks)
    return monday.strftime("%G-W%V")


def share(count: int, of: int) -> dict[str, Any]:
    if not of:
        return {"count": count, "of": of, "share": None, "low": None, "high": None}
    z, p = 1.959963984540054, count / of
    middle, wide = p + z * z / 2 / of, z * math.sqrt(p * (1 - p) / of + z * z / 4 / of / of)
    low, high = (middle - wide) / (1 + z * z / of), (middle + wide) / (1 + z * z / of)
    return {
        "count": count,
        "of": of,
        "share": p,
        "low": low if count else 0.0,
        "high": high if count < of else 1.0,
    }


def outcomes(found: Iterable[str]) -> dict[str, Any]:
    counts = Counter(found)
    reviewed = sum(counts[name] for name in OUTCOMES[:6])
    bad = counts["rewritten"] + counts["replaced"] + counts["rejected"]
    return {
        **{name: counts[name] for name in OUTCOMES},
        "reviewed": reviewed,
        "rewrite_rate": share(bad, reviewed),
    }


def nearest_rank(values: Iterable[float], of_100: int) -> float | None:
    ordered = sorted(values)
    return ordered[max(1, math.ceil(of_100 / 100 * len(ordered))) - 1] if ordered else None


class Week:
    """One week of the exported rows."""

    def __init__(self, rows: Rows, week: str, zone: str) -> None:
        self.rows, self.week, self.zone = rows, week, zone
        self.start, self.end = bounds(week, zone)
        self.tickets = {row["id"]: row for row in rows["tickets"]}
        self.drafts = {row["id"]: row for row in rows["drafts"]}
        self.reading_of = {row["message_id"]: row for row in rows["triages"]}

    def within(self, text: str | None) -> bool:
        at = when(text)
        return at is not None and self.start <= at < self.end

    def of(self, what: str, column: str) -> list[dict[str, Any]]:
        return [row for row in self.rows[what] if self.within(row[column])]

    # --- drafts

    def judged(self) -> list[dict[str, str]]:
        """A dictionary of its dimensions, its outcome and its review for each draft of the week."""
        found = []
        for review in self.rows["reviews"]:
            draft = self.drafts.get(review["draft_id"])
            if draft is None or review["outcome"] is None:
                continue
            if not self.within(review["decided_at"] or draft["superseded_at"]):
                continue
            ticket = self.tickets[review["ticket_id"]]
            reading = self.reading_of.get(draft["message_id"])
            found.append(
                {
                    "route": draft["route"],
                    "topic": (reading or ticket)["topic"] or "(none)",
                    "language": draft["language"],
                    "inbox": ticket["inbox"],
                    "model": draft["model"],
                    "prompt": f"{draft['task']} {draft['prompt'][:8]}",
                    "source": draft["source"],
                    "outcome": review["outcome"],
                    "marked": "yes" if review["escalated_for_nothing"] else "",
                    "short": "yes" if review["outcome"] == "as_is" and len(draft["text"]) <= 400 else "",
                }
            )
        return found

    def cuts(self) -> dict[str, dict[tuple[str, ...], Any]]:
        judged = self.judged()
        found: dict[str, dict[tuple[str, ...], Any]] = {}
        for name in EVERY_CUT:
            keys = {tuple(draft[each] for each in name.split()) for draft in judged}
            found[name] = {
                key: outcomes(
                    draft["outcome"] for draft in judged if tuple(draft[each] for each in name.split()) == key
                )
                for key in keys
            }
        return found

    def escalation(self) -> dict[str, Any]:
        readings = self.of("triages", "created_at")
        routes = Counter(row["route"] for row in readings)
        reasons: Counter[str] = Counter()
        for row in readings:
            if row["route"] != "cheap":
                reasons.update({re.sub(r"\d+([.,]\d+)*", "…", reason) for reason in row["reasons"]})
        reviewed = [draft for draft in self.judged() if draft["outcome"] in OUTCOMES[:6]]
        strong = [draft for draft in reviewed if draft["route"] == "strong"]
        cheap = outcomes(draft["outcome"] for draft in reviewed if draft["route"] == "cheap")

        def unneeded(test: Callable[[dict[str, str]], Any]) -> dict[str, Any]:
            return share(sum(bool(test(draft)) for draft in strong), len(strong))

        return {
            "read": len(readings),
            "routes": [[name, share(routes[name], len(readings))] for name in ("cheap", "strong", "human")],
            "reasons": dict(reasons),
            "over": unneeded(lambda draft: draft["marked"] or draft["short"]),
            "marked": unneeded(lambda draft: draft["marked"]),
            "short": unneeded(lambda draft: draft["short"]),
            "missed": cheap["rewrite_rate"],
            "reopened": sum(route == "cheap" for route, _angrier in self.came_back().values()),
        }

    def corrected(self) -> dict[str, Any]:
        readings = {row["id"] for row in self.of("triages", "created_at")}
        found: dict[str, set[tuple[str, int]]] = {}
        for row in self.rows["corrections"]:
            if row["triage_id"] in readings:
                found.setdefault(row["field"], set()).add((row["by_kind"], row["triage_id"]))
        return {
            field: (
                share(len({reading for _kind, reading in pairs}), len(readings)),
                dict(Counter(kind for kind, _reading in pairs)),
            )
            for field, pairs in found.items()
        }

    def sampled(self) -> dict[tuple[str, str], Any]:
        by_id = {row["id"]: row for row in self.rows["triages"]}
        counts: dict[tuple[str, str], list[int]] = {}
        for row in self.of("shadows", "created_at"):
            if row["call_id"] is not None:
                reading = by_id[row["triage_id"]]
                for key in (("all", ""), ("topic", reading["topic"]), ("language", reading["language"])):
                    both = counts.setdefault(key, [0, 0])
                    both[0] += row["missed"]
                    both[1] += 1
        return {key: share(*both) for key, both in counts.items()}

    # --- friction

    def came_back(self) -> dict[int, tuple[str | None, bool]]:
        """Reply → its route, and whether the customer was angrier."""
        reviews = {row["id"]: row for row in self.rows["reviews"]}
        found: dict[int, tuple[str | None, bool]] = {}
        moves = [
            move
            for move in self.of("moves", "at")
            if move["to_status"] == "received" and move["from_status"] in ("answered", "closed")
        ]
        on: dict[str, dict[int, list[dict[str, Any]]]] = {"messages": {}, "replies": {}}
        for what, by_ticket in on.items():
            for row in self.rows[what]:
                by_ticket.setdefault(row["ticket_id"], []).append(row)
        for move in moves:
            pairs = [
                (message["id"], reply["id"], message, reply)
                for message in on["messages"].get(move["ticket_id"], ())
                for reply in on["replies"].get(move["ticket_id"], ())
                if (message["direction"], message["kind"]) == ("inbound", "person")
                and reply["state"] == "sent"
                and reply["sent_at"] < message["received_at"] <= move["at"]
            ]
            if not pairs:
                continue
            _message, _reply, message, reply = max(pairs, key=lambda pair: pair[:2])
            gap = datetime.fromisoformat(message["received_at"]) - datetime.fromisoformat(reply["sent_at"])
            if gap > timedelta(days=7):
                continue
            review = reviews[reply["review_id"]]
            draft = self.drafts.get(review["draft_id"])
            route = draft["route"] if draft and review["action"] != "replace" else None
            found.setdefault(reply["id"], (route, self._angrier(reply["answers_id"], message["id"])))
        return found

    def _angrier(self, answered: int, again: int) -> bool:
        scale = {"calm": 0, "worried": 1, "frustrated": 2, "angry": 3}
        before, after = self.reading_of.get(answered), self.reading_of.get(again)
        return before is not None and after is not None and scale[after["emotion"]] > scale[before["emotion"]]

    def friction(self) -> dict[str, Any]:
        paired = {row[side] for row in self.rows["comparisons"] for side in ("left_id", "right_id")}
        asked = [row for row in self.of("drafts", "created_at") if row["asked_by"] is not None]
        alone = [row for row in asked if row["id"] not in paired]
        on_review = {row["draft_id"] for row in self.rows["reviews"]}
        typed = {row["review_id"] for row in self.rows["typed"]}
        roles = Counter(
            row["role"]
            for row in self.of("calls", "started_at")
            if row["role"] != "model" and row["state"] != "not_called"
        )
        looks = [
            round((decided - seen).total_seconds(), 1)
            for row in self.decided()
            if (seen := when(row["first_viewed_at"])) and (decided := when(row["decided_at"]))
        ]
        back = self.came_back()
        left = {row["left_id"] for row in self.rows["comparisons"]}
        return {
            "regenerated": sum(row["refines_id"] is None for row in alone),
            "refined": sum(row["refines_id"] is not None for row in alone),
            "compared": sum(row["id"] in left for row in asked),
            "given_up": sum(row["id"] not in on_review for row in self.of("drafts", "superseded_at")),
            "retries": dict(roles),
            "look_p50_s": nearest_rank(looks, 50),
            "look_p95_s": nearest_rank(looks, 95),
            "reopened": len(back),
            "complaints": sum(angrier for _route, angrier in back.values()),
            "abandoned": sum(
                "had typed, and not sent:" in (row["note"] or "")
                or (row["state"] != "open" and row["id"] in typed)
                for row in self.of("reviews", "opened_at")
            ),
        }

    # --- people

    def decided(self) -> list[dict[str, Any]]:
        return [row for row in self.of("reviews", "decided_at") if row["state"] == "decided"]

    def guard(self, quick_s: float) -> dict[str, Any]:
        approvals = [row for row in self.decided() if row["action"] == "approve"]
        unseen = sum(row["first_viewed_at"] is None for row in approvals)
        quick = sum(
            decided - seen < timedelta(seconds=quick_s)
            for row in approvals
            if (seen := when(row["first_viewed_at"])) and (decided := when(row["decided_at"]))
        )
        verdicts = Counter(row["verdict"] for row in self.of("second_reads", "read_at"))
        return {
            "quick_s": quick_s,
            "quick": share(quick, len(approvals)),
            "unseen": share(unseen, len(approvals)),
            "hasty": share(quick + unseen, len(approvals)),
            "asked": len(self.of("second_reads", "asked_at")),
            "agreed": share(verdicts["as_is"], sum(verdicts.values())),
            "verdicts": dict(verdicts),
        }

    def desk(self, at: datetime) -> dict[str, Any]:
        waits = [
            round((decided - opened).total_seconds(), 1)
            for row in self.decided()
            if (opened := when(row["opened_at"])) and (decided := when(row["decided_at"]))
        ]
        waiting = [
            datetime.fromisoformat(row["opened_at"]) for row in self.rows["reviews"] if row["state"] == "open"
        ]
        return {
            "opened": len(self.of("reviews", "opened_at")),
            "decided": len(waits),
            "open_now": len(waiting),
            "oldest_open_s": max(0.0, (at - min(waiting)).total_seconds()) if waiting else None,
            "wait_p50_s": nearest_rank(waits, 50),
            "wait_p95_s": nearest_rank(waits, 95),
        }

    def failures(self) -> dict[str, int]:
        return dict(
            Counter(row["reason"] for row in self.of("reviews", "opened_at") if row["draft_id"] is None)
        )

    # --- money, arrivals

    def calls(self) -> dict[tuple[str, ...], dict[str, Any]]:
        groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for row in self.made():
            groups.setdefault((row["route"], row["task"], row["model"], row["provider"]), []).append(row)
        return {
            key: {
                "calls": len(rows),
                "failed": sum(row["state"] in ("failed", "unknown") for row in rows),
                **{
                    name: sum(row[name] or 0 for row in rows)
                    for name in ("input_tokens", "cached_input_tokens", "output_tokens")
                },
                "cost_usd": sum((Decimal(row["cost_usd"] or 0) for row in rows), Decimal(0)),
                **{
                    f"p{of_100}_ms": nearest_rank(
                        (
                            row["latency_ms"]
                            for row in rows
                            if row["state"] == "ok" and row["latency_ms"] is not None
                        ),
                        of_100,
                    )
                    for of_100 in (50, 95)
                },
            }
            for key, rows in groups.items()
        }

    def made(self) -> list[dict[str, Any]]:
        return [row for row in self.of("calls", "started_at") if row["state"] != "not_called"]

    def sent(self) -> int:
        return sum(row["state"] == "sent" for row in self.of("replies", "sent_at"))

    def costs(self, strong_price: tuple[str, str, str] | None) -> dict[str, Any]:
        """`strong_price`: dollars a million tokens in, cached and out."""
        made = self.made()
        total = sum((Decimal(row["cost_usd"] or 0) for row in made), Decimal(0))
        tickets = len({row["ticket_id"] for row in made if row["ticket_id"] is not None})
        return {
            "total_usd": total,
            "tickets": tickets,
            "per_ticket_usd": total / tickets if tickets else None,
            "replies": self.sent(),
            "per_reply_usd": total / self.sent() if self.sent() else None,
            "all_strong_usd": self._all_strong(total, strong_price),
        }

    def _all_strong(self, total: Decimal, price: tuple[str, str, str] | None) -> Decimal | None:
        by_model = [row for row in self.of("drafts", "created_at") if row["source"] == "model"]
        paid = [
            Decimal(row["cost_usd"])
            for row in by_model
            if row["route"] == "strong" and row["provider"] not in ("local", "templates")
        ]
        mean = sum(paid, Decimal(0)) / len(paid) if paid else None
        calls = {row["id"]: row for row in self.rows["calls"]}
        for row in by_model:
            if row["route"] != "cheap":
                continue
            call = calls.get(row["call_id"])
            if price and call and call["input_tokens"]:
                fresh = call["input_tokens"] - (call["cached_input_tokens"] or 0)
                parts = (fresh, call["cached_input_tokens"] or 0, call["output_tokens"] or 0)
                usd = (
                    sum((Decimal(each) * count for each, count in zip(price, parts, strict=True)), Decimal(0))
                    / 1_000_000
                )
            elif mean:
                usd = mean
            else:
                return None
            total += usd - Decimal(row["cost_usd"])
        return total

    def arrived(self) -> dict[str, int]:
        inbound = [row for row in self.of("messages", "received_at") if row["direction"] == "inbound"]
        people = sum(row["kind"] == "person" for row in inbound)
        raw = Counter(row["state"] for row in self.of("raw", "received_at"))
        return {
            "messages": len(inbound),
            "from_people": people,
            "automated": len(inbound) - people,
            "quarantined": raw["quarantined"],
            "duplicates": raw["duplicate"],
            "tickets": len(self.of("tickets", "created_at")),
            "replies": self.sent(),
        }


def recount(
    rows: Rows,
    week: str,
    zone: str,
    at: datetime,
    *,
    quick_s: float = 5.0,
    strong_price: tuple[str, str, str] | None = None,
) -> dict[str, Any]:
    """The figures of a week's report; lists whose order is a matter of showing are dictionaries here."""
    this, before = Week(rows, week, zone), Week(rows, earlier(week, 1), zone)
    written = {row["week"]: row["outcomes"] for row in rows["reports"] if row["zone"] == zone}
    line = []
    for n in range(11, -1, -1):
        name = earlier(week, n)
        counted = outcomes(draft["outcome"] for draft in Week(rows, name, zone).judged())
        if n > 1 and name in written:
            counted = outcomes(each for each in OUTCOMES for _ in range(int(written[name].get(each, 0))))
        line.append({"week": name, "outcomes": counted})
    return {
        "headline": line[-1]["outcomes"],
        "line": line,
        "cuts": this.cuts(),
        "read": this.escalation()["read"],
        "corrected": this.corrected(),
        "escalation": this.escalation(),
        "desk": this.desk(at),
        "guard": this.guard(quick_s),
        "guard_before": before.guard(quick_s),
        "friction": this.friction(),
        "calls": this.calls(),
        "call_errors": dict(
            Counter(
                (row["model"], row["error_kind"])
                for row in this.of("calls", "started_at")
                if row["error_kind"]
            )
        ),
        "costs": this.costs(strong_price),
        "spent": {row["scope"]: Decimal(row["spent_usd"]) for row in rows["spend"]},
        "counts": this.arrived(),
        "failures": this.failures(),
        "shadows": this.sampled(),
    }
