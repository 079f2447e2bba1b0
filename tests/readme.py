"""The parts of the README that the code says better: `python -m tests.readme` writes them anew."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.lifecycle import MEANING, MOVES, Status
from pipeline.models.gateway import policy_rows
from pipeline.routing import printing
from pipeline.routing.reading import read

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"


def blocks() -> dict[str, str]:
    """Each generated part of the README by its name."""
    routes = read(ROOT / "routes.toml")
    return {
        "moves": moves(),
        "attempts": attempts(),
        "tasks": printing.markdown(routes),
        "rule": "\n".join(f"- {sentence}" for sentence in printing.rule_sentences(routes)),
        "caps": "; ".join(printing.budget_sentences(routes)) + ".",
    }


def moves() -> str:
    """The lifecycle as a table that a person can read, and as a diagram."""
    rows = ["| status | meaning | may become |", "|---|---|---|"]
    for status in Status:
        to = ", ".join(f"`{new}`" for new in sorted(MOVES[status]))
        rows.append(f"| `{status}` | {MEANING[status]} | {to} |")
    first = ", ".join(f"`{new}`" for new in sorted(MOVES[None]))
    rows.append(f"| (new) | a message opened the ticket | {first} |")
    diagram = ["```mermaid", "stateDiagram-v2"]
    for old, news in MOVES.items():
        diagram += [f"  {old or '[*]'} --> {new}" for new in sorted(news) if new != old]
    return "\n".join([*rows, "", *diagram, "```"])


def attempts() -> str:
    """The door's table: what went wrong, what comes next, what is booked."""
    rows = ["| what went wrong | what comes next | what is booked |", "|---|---|---|"]
    rows += [f"| {wrong} | {then} | {booked} |" for wrong, then, booked in policy_rows()]
    return "\n".join(rows)


def with_blocks(text: str) -> str:
    """The README with every generated part as it should be."""
    for name, content in blocks().items():
        inline = name == "caps"
        new = (
            f"<!-- {name} -->{content}<!-- /{name} -->"
            if inline
            else f"<!-- {name} -->\n{content}\n<!-- /{name} -->"
        )
        pattern = re.compile(f"<!-- {name} -->.*?<!-- /{name} -->", re.DOTALL)
        assert pattern.search(text), name
        text = pattern.sub(lambda _match, new=new: new, text)  # type: ignore[misc]
    return text


if __name__ == "__main__":
    README.write_text(with_blocks(README.read_text(encoding="utf-8")), encoding="utf-8")
