"""What the language detector learns from a team: how far to lean to each language where a text leaves it open.

One figure per language is fitted to the languages that agents stand by, so that what the detector believes of
the team's mails sums up to what they are written in. (Figures per pair of languages were tried: they gained
nothing over these.) Only the figures are kept, no text and no ticket.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.db.store import Store
from pipeline.errors import InputError
from pipeline.models.providers.local.language import (
    REACH,
    LanguageReader,
    Leaning,
    choose,
    shares,
    telling_text,
)
from pipeline.models.providers.local.learned import (
    MOST,
    Compared,
    check_enough,
    given_mail,
    held_against,
    is_kept_back,
    keep_lines,
    standing,
)
from pipeline.models.providers.local.sentences import reading_text

__all__ = ["Reading", "compare", "fit", "from_file", "from_store", "keep"]

# How far a figure and the steepness are expected from "no leaning" before any ticket speaks: standard deviations.
# Best of 0.5, 1 and 2 for 20, 60 and 300 tickets of teams made up from foreign texts in 37 languages.
_SHIFT_SPREAD = 2.0
_STEEPNESS_SPREAD = 0.3
_LEAST_STEEP = 0.1
_ROUNDS = 60

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Reading:
    """One ticket: the language that stands, and the detector's own log belief in each, without any leaning.
    `kept_back`: it is only ever tested on. `corrected`: a person put its language right."""

    language: str
    scores: Mapping[str, float]
    kept_back: bool
    corrected: bool = False


def from_store(store: Store, languages: Sequence[str]) -> list[Reading]:
    """The team's own tickets, newest last: languages that agents put right, and those that stood when they answered.

    Languages that are not among `languages` (those of routes.toml) are left out.
    """
    return _readings(
        (
            (one.stands, one.subject, one.body, f"ticket {one.ticket_id}", one.corrected)
            for one in standing(store, "language")
            if one.stands in languages
        ),
        languages,
    )


def from_file(
    given: Iterable[tuple[int, Mapping[str, Any]]], path: Path, languages: Sequence[str]
) -> list[Reading]:
    """Labelled rows that were handed in, `{"subject", "body", "language"}`; those without a language are left out.
    Raises `InputError` naming the line."""
    rows = []
    for number, one in given:
        subject, body = given_mail(one, path, number)
        language = one.get("language")
        if language is None:
            continue
        if language not in languages:
            raise InputError(f"{path}:{number}: the language {language!r} is not in routes.toml")
        rows.append((str(language), subject, body, "", True))
    return _readings(rows, languages)


def _readings(
    rows: Iterable[tuple[str, str | None, str, str, bool]], languages: Sequence[str]
) -> list[Reading]:
    """Each (language, subject, body, ticket, corrected) as the detector reads it; a text twice counts once, as it
    stands in the newest."""
    detector = LanguageReader()
    by_text: dict[str, Reading] = {}
    for language, subject, body, of, corrected in rows:
        text = telling_text(*reading_text(subject, body))
        scores = detector.scores(text, languages)
        if scores:
            by_text.pop(text, None)
            by_text[text] = Reading(language, scores, is_kept_back(of or text), corrected)
    return list(by_text.values())[-MOST:]


def compare(old: Leaning, rows: Sequence[Reading]) -> tuple[Compared, Leaning]:
    """Fit a leaning to the taught part of `rows` and test it on the part kept back, beside `old`, the one in use.

    Raises `InputError` where there are too few rows to teach or to tell.
    """
    held = [one for one in rows if one.kept_back]
    check_enough("language", len(rows), len(held))
    new = fit([one for one in rows if not one.kept_back])
    answers = [[choose(one.scores, leaning) for one in held] for leaning in (old, new)]
    right = [
        [answer.language == one.language for answer, one in zip(some, held, strict=True)] for some in answers
    ]
    stated = [[answer.confidence for answer in some] for some in answers]
    off = [[_off(one, leaning) for one in held] for leaning in (old, new)]
    return held_against(len(rows), right, stated, off), new


def _off(one: Reading, leaning: Leaning) -> float:
    """The squared distance of what is believed of all languages from the one that stands, 0..1 (Brier)."""
    believed = shares(one.scores, leaning)
    missed = 1.0 - believed.get(one.language, 0.0)
    return (missed**2 + sum(share**2 for code, share in believed.items() if code != one.language)) / 2


def fit(rows: Sequence[Reading]) -> Leaning:
    """The leaning of least log loss on `rows`, held towards none by the spreads above; some 0.1 s for 2,000.

    Newton's method: in the steepness and the shifts times the steepness the loss is convex. Rows whose language
    the detector rules out by its script teach nothing.
    """
    rows = [one for one in rows if one.language in one.scores]
    codes = sorted({code for one in rows for code in one.scores})
    place = {code: i for i, code in enumerate(codes)}
    scores = np.full((len(rows), len(codes)), -np.inf)
    for i, one in enumerate(rows):
        for code, score in one.scores.items():
            scores[i, place[code]] = score
    open_ = np.isfinite(scores)
    scores = np.where(open_, scores - scores.max(axis=1, keepdims=True, initial=-1e9), 0.0)
    wanted = np.zeros_like(scores)
    wanted[np.arange(len(rows)), [place[one.language] for one in rows]] = 1.0
    # The first figure is the steepness, the others are the moves: shift times steepness.
    middle = np.eye(1, len(codes) + 1)[0]
    penalty = np.array([_STEEPNESS_SPREAD**-2] + [_SHIFT_SPREAD**-2] * len(codes))

    def loss_at(at: Doubles) -> tuple[float, Doubles]:
        moved = np.where(open_, at[0] * scores + at[1:], -np.inf)
        moved -= moved.max(axis=1, keepdims=True, initial=-1e9)
        likely = np.exp(moved)
        total = likely.sum(axis=1, keepdims=True)
        said = np.where(open_, moved, 0.0) - np.log(total)
        loss = -(wanted * said).sum() + (penalty * (at - middle) ** 2).sum() / 2
        return float(loss), likely / total

    at = middle
    loss, likely = loss_at(at)
    for _ in range(_ROUNDS):
        mean = (likely * scores).sum(axis=1, keepdims=True)
        away = likely * (scores - mean)
        error = likely - wanted
        slope = np.concatenate([[(error * scores).sum()], error.sum(axis=0)]) + penalty * (at - middle)
        bend = np.diag(penalty)
        bend[0, 0] += (away * scores).sum()
        bend[0, 1:] += away.sum(axis=0)
        bend[1:, 0] += away.sum(axis=0)
        bend[1:, 1:] += np.diag(likely.sum(axis=0)) - likely.T @ likely
        step = np.linalg.solve(bend, slope)
        for shorter in (1.0, 0.5, 0.25, 0.1, 0.01):
            tried = at - shorter * step
            if tried[0] >= _LEAST_STEEP and (found := loss_at(tried))[0] < loss:
                break
        else:
            break
        gained, at, (loss, likely) = loss - found[0], tried, found
        if gained < 1e-9:
            break
    half = REACH / 2
    shifts = np.clip(at[1:] / at[0], -half, half)
    return Leaning(
        {code: round(float(shift), 3) for code, shift in zip(codes, shifts, strict=True)},
        round(float(at[0]), 3),
    )


def keep(path: Path, leaning: Leaning) -> None:
    """Write the figures whole or not at all, readable by the owner only. Raises `ConfigError`."""
    keep_lines(path, [json.dumps({"steepness": leaning.steepness, "shifts": dict(leaning.shifts)})])
