"""A prompt's cases, `cases.jsonl` beside it: one case a line, each with an id of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.errors import InputError

T = TypeVar("T", bound=BaseModel)


def read_cases(path: Path, model: type[T]) -> list[tuple[int, T]]:
    """(line number from 1, case) of every line that is not empty. `model` has an `id`.

    Raises `InputError` naming file and line: not to be read, not of that shape, an id that is there twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: the cases cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: the cases are not UTF-8 text") from None
    found: dict[str, tuple[int, T]] = {}
    for number, line in enumerate(text.split("\n"), 1):  # a case may hold U+2028, which ends no line
        if not line.strip():
            continue
        try:
            case = model.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the line"
            words = "there is no such key" if first["type"] == "extra_forbidden" else first["msg"]
            raise InputError(f"{path}:{number}: {where}: {words}") from None
        name = str(getattr(case, "id", number))
        if name in found:
            raise InputError(f"{path}:{number}: the id {name} is there twice")
        found[name] = number, case
    return list(found.values())
