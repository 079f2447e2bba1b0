"""An evaluation in lines for people, on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.evaluation.results import ModelResult, Result, money

SHOWN = 8


def lines(results: Sequence[Result]) -> list[str]:
    """The tables of every task; the last lines give the answer for each."""
    found: list[str] = []
    for result in results:
        header = result.header
        found.append(f"{header.task}: {header.of} cases of {header.source}, prompt {header.prompt}")
        found.append(f"  run {header.run}, {money(result.spent_usd)} spent")
        if len(result.tried) > 1:
            found += [f"  {line}" for line in _side_by_side(result.tried)]
        for model in result.tried:
            found += [f"  {line}" for line in _model_lines(model)]
        if header.unmeasured:
            found.append(f"  not part of the bar on these cases: {', '.join(header.unmeasured)}")
        found += [
            f"  {model.model}: not tried: {model.not_tried}" for model in result.models if model.not_tried
        ]
        found += [f"  {number} answers not judged: {why}" for why, number in result.unjudged.items()]
        if result.left:
            found.append(f"  {result.left} answers are left; go on with: {again(result)}")
        found.append("")
    return [*found, *(result.answer for result in results)]


def again(result: Result) -> str:
    """The command that goes on with a run that was stopped."""
    whys = [*result.unjudged, *(why for model in result.models for why in model.unasked)]
    capped = any("the cap of" in why for why in whys)
    batch = " --batch" if result.header.batch else ""
    more = " --cap USD (more than the cap that was reached)" if capped else ""
    return f"triage eval {result.task} --run {result.header.run} --resume{batch}{more}"


def _side_by_side(models: Sequence[ModelResult]) -> list[str]:
    """One line for each model, the cheapest first: the bar, what it costs, how long it takes."""
    rows: list[tuple[str, ...]] = [("model", "bar", "passed", "per 1,000", "p50", "p95")]
    for model in sorted(models, key=lambda model: model.cost_per_1000_usd or 0):
        measures, cost = model.measures, model.cost_per_1000_usd
        met = sum(bar.met for bar in model.bars)
        rows.append(
            (
                model.model,
                "met" if model.meets_bar else f"{met} of {len(model.bars)}",
                f"{measures['passed']:.1%}" if "passed" in measures else "–",
                "–" if cost is None else money(cost) + ("" if model.price_known else "?"),
                *(
                    f"{measures[name]:.0f} ms" if name in measures else "–"
                    for name in ("latency_p50_ms", "latency_p95_ms")
                ),
            )
        )
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]


def _model_lines(model: ModelResult) -> list[str]:
    found = [model.model]
    width = max((len(name) for name in model.shares), default=0)
    found += [f"  {name:{width}}  {share}" for name, share in model.shares.items()]
    found += [f"  {name:{width}}  {value:6.1%}  on average" for name, value in model.means.items()]
    if model.calibration is not None:
        found.append(f"  confidence: expected calibration error {model.calibration.ece:.3f}")
        found += [
            f"    {b.start:.1f} to {b.end:.1f}: {b.answers:4} answers, "
            f"{b.mean_confidence:.2f} sure, {b.right:.2f} right"
            for b in model.calibration.bins
        ]
    if model.latencies_ms:
        p50, p95 = (model.measures[f"latency_{name}_ms"] for name in ("p50", "p95"))
        found.append(f"  latency p50 {p50:.0f} ms, p95 {p95:.0f} ms")
    if model.cost_per_1000_usd is not None:
        guess = (
            ""
            if model.price_known
            else " (no price is known; booked at the dearest: set price in routes.toml)"
        )
        found.append(f"  {money(model.cost_per_1000_usd)} per 1,000{guess}")
    found += [f"  {number} cases not asked: {why}" for why, number in model.unasked.items()]
    found += [f"  bar: {bar}" for bar in model.bars]
    for one in model.judged:
        own = " (itself)" if one.judge == model.model else ""
        found.append(f"  judged by {one.judge}{own}; the bar does not count it:")
        found += [f"    {name:{width}}  {share}" for name, share in one.good.items()]
        found += [f"    agrees with the program on {name}: {share}" for name, share in one.agreement.items()]
    failed = [marked for marked in model.asked if marked.misses]
    for marked in failed[:SHOWN]:
        found.append(f"  failed {marked.case}: {'; '.join(str(miss) for miss in marked.misses)}")
    if len(failed) > SHOWN:
        found.append(f"  … and {len(failed) - SHOWN} more failed; --json shows all")
    return found
