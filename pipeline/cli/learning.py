"""The command `triage learn`: the built-in model takes up what a team's own tickets teach it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.output import Json, print_json, progress, read_jsonl, say

if TYPE_CHECKING:
    from pipeline.models.providers.local.leaning import Reading
    from pipeline.models.providers.local.learned import Compared, Row
    from pipeline.routing.table import Routes
    from pipeline.settings import Settings


@dataclass(frozen=True)
class _Lesson:
    """What tickets teach of topics or of languages. `found` is None where they cannot, `problem` then says why."""

    what: str
    found: Compared | None
    problem: str
    corrected: int
    names: Sequence[str]
    file: Path
    take_up: Callable[[], None]

    @property
    def better(self) -> bool:
        return self.found is not None and self.found.better

    @property
    def how(self) -> str:
        found = self.found
        if found is None:
            return self.problem
        return (
            f"on {found.held} tickets kept back, {found.before:.2f} of their {self.what} right by the model in use, "
            f"{found.after:.2f} by the new one ({found.gained} gained, {found.lost} lost); confidence off by "
            f"{found.brier_before:.3f} before and {found.brier_after:.3f} after (Brier), "
            f"{found.stated_after:.2f} stated on average"
        )

    @property
    def refused(self) -> str:
        """Why --apply does not take it up."""
        if self.found is None:
            return self.problem
        what = "make the model worse" if self.found.worse else "not make the model better"
        return (
            f"nothing was learned from {self.found.taught} tickets, they would {what}: {self.how}; "
            f"look whether {'they fit what routes.toml says of them' if self.what == 'topics' else 'they are right'}"
        )

    def said(self, *, apply: bool) -> str:
        if self.found is None or (apply and not self.better):
            return self.refused
        said = (
            f"{self.found.taught} tickets teach ({self.corrected} of all with a {self.what.removesuffix('s')} "
            f"that a person gave): {self.how}"
        )
        if apply:
            return f"{said}; taken up, in force from the next start"
        if self.better:
            return f"{said}; better: `triage learn --apply` would take it up; nothing was changed"
        return f"{said}; not better: --apply would refuse it; nothing was changed"

    def as_json(self, *, apply: bool) -> dict[str, Any]:
        given: dict[str, Any] = {
            "corrected": self.corrected,
            self.what: dict(sorted(Counter(self.names).items())),
        }
        if self.found is None:
            given |= {"problem": self.problem}
        else:
            given |= {name: round(value, 4) for name, value in asdict(self.found).items()}
        return given | {"better": self.better, "applied": apply and self.better, "file": str(self.file)}


def register(app: typer.Typer) -> None:
    app.command()(learn)


def learn(
    rows: Annotated[
        Path | None,
        typer.Option(
            help='labelled rows, JSONL: {"subject", "body"} and "topic", "language" or both; default: the store'
        ),
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="take the new model up, if it is better")] = False,
    forget: Annotated[bool, typer.Option("--forget", help="remove all that was learned")] = False,
    json: Json = False,
) -> None:
    """Teach the built-in model from topics and languages that agents corrected, or let stand when they answered.

    A part of those tickets, always the same, is kept back: the new model is tested on it beside the one in use,
    of topics and of languages each by itself. Without --apply nothing is changed. With it, what is better is
    taken up and in force from the next start: TRIAGE_HOME/learned.jsonl keeps the tickets that teach topics,
    without contact details, and learned-languages.json one figure per language. Tickets that taught topics before
    stay.
    """
    if forget and (apply or rows is not None):
        raise typer.BadParameter("--forget goes alone", param_hint="--rows" if rows else "--apply")
    from pipeline.assembly import open_routes
    from pipeline.errors import InputError
    from pipeline.models.providers.local import LEARNED_FILE
    from pipeline.models.providers.local.language import LEANING_FILE
    from pipeline.settings import load

    settings = load()
    home = settings.home.expanduser().resolve()
    path, figures = home / LEARNED_FILE, home / LEANING_FILE
    if forget:
        _forget(path, figures, json=json)
        return
    routes = open_routes(settings)
    with progress("learning", None):
        lessons = _lessons(settings, routes, rows, path, figures)
    if all(one.found is None for one in lessons) or (apply and not any(one.better for one in lessons)):
        raise InputError("; ".join(f"{one.what}: {one.refused}" for one in lessons))
    if apply:
        for one in lessons:
            if one.better:
                one.take_up()
    if json:
        given = {one.what: one.as_json(apply=apply) for one in lessons}
        print_json(given.pop("topics", {}) | given)
        return
    for one in lessons:
        say(f"{one.what}: {one.said(apply=apply)}")


def _forget(path: Path, figures: Path, *, json: bool) -> None:
    gone = path.exists() or figures.exists()
    for file in (path, figures):
        file.unlink(missing_ok=True)
    if json:
        print_json({"forgotten": gone, "file": str(path)})
    else:
        say(
            "forgotten; the package's own examples are in force from the next start"
            if gone
            else "nothing was learned yet"
        )


def _lessons(
    settings: Settings, routes: Routes, given: Path | None, path: Path, figures: Path
) -> list[_Lesson]:
    """What the store's tickets teach, or the labelled rows of a file; topics first."""
    from pipeline.assembly import open_store
    from pipeline.models.providers.local import leaning, learned

    known, languages, region = list(routes.topics), routes.languages, routes.region
    if given is None:
        store = open_store(settings)
        try:
            new = learned.from_store(store, known, region=region)
            readings = leaning.from_store(store, languages)
        finally:
            store.close()
        return [_topics(settings, new, known, path), _languages(readings, figures)]
    rows = list(read_jsonl(given))
    new = learned.from_file(rows, given, known, region=region)
    readings = leaning.from_file(rows, given, languages)
    lessons = [_topics(settings, new, known, path)] if new or not readings else []
    return [*lessons, _languages(readings, figures)] if readings else lessons


def _topics(settings: Settings, new: list[Row], known: list[str], path: Path) -> _Lesson:
    from pipeline.assembly import cache_dir
    from pipeline.errors import InputError
    from pipeline.models.providers.local import learned
    from pipeline.models.providers.local.encoder import Encoder

    old = [one for one in learned.read(path) if one.topic in known]
    rows = learned.merged(old, new)
    found, problem = None, ""
    try:
        found = learned.compare(Encoder(), cache_dir(settings), old, rows, known)
    except InputError as error:
        problem = str(error)
    return _Lesson(
        what="topics",
        found=found,
        problem=problem,
        corrected=sum(one.corrected for one in rows),
        names=[one.topic for one in rows],
        file=path,
        take_up=lambda: learned.keep(path, rows),
    )


def _languages(readings: list[Reading], path: Path) -> _Lesson:
    from pipeline.errors import InputError
    from pipeline.models.providers.local import leaning
    from pipeline.models.providers.local.language import NO_LEANING, read_leaning

    old = read_leaning(path)
    found, new, problem = None, NO_LEANING, ""
    try:
        found, new = leaning.compare(old, readings)
    except InputError as error:
        problem = str(error)
    return _Lesson(
        what="languages",
        found=found,
        problem=problem,
        corrected=sum(one.corrected for one in readings),
        names=[one.language for one in readings],
        file=path,
        take_up=lambda: leaning.keep(path, new),
    )
