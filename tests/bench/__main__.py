"""All benchmarks; writes docs/benchmarks.md: `make bench`. With names (`money fields`), only these anew."""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "benchmarks.md"
PARTS = (
    ("The command `triage classify` with the local model", "command", ()),
    ("The local model by itself", "classify", ()),
    ("Order numbers, addresses, amounts, dates: the local model's fields", "fields", ()),
    ("Language and tone", "tone", ()),
    ("What the local model learns from a team's own rows", "learn", ()),
    ("What routing pays", "money", ()),
    ("What our layer adds to a model call, against the bare SDK", "overhead", ()),
    ("Attacks before models that obey them", "injections", ("--styles", "echo,carries,complies")),
    ("Redaction", "redaction", ()),
    ("The queue page with a million tickets", "queue_page", ()),
    ("The weekly report with a million tickets", "weekly_report", ()),
    ("Replies, signatures, bounces, subjects: agreement with other projects' expectations", "replies", ()),
    ("`triage ingest` against the interpreter's own parse of the same mails", "ingest", ()),
    ("Fetching a mailbox against bare IMAPClient", "imap", ()),
)
HEAD = """# Benchmarks

Written by `make bench` on {machine}. Machines differ and are noisy: speeds are here to be compared within one
run. The data is foreign (nobody on this project wrote it) and is not part of this repository;
`TRIAGE_TEST_DATA` names its folder. Other data of the same kind judges what lands; these figures are of the
part that may be looked at.
"""


def main(names: list[str]) -> int:
    unknown = sorted(set(names) - {name for _, name, _ in PARTS})
    if unknown:
        known = ", ".join(name for _, name, _ in PARTS)
        print(f"there is no benchmark {unknown[0]}; there are {known}", file=sys.stderr)
        return 2
    kept = sections(PAGE.read_text(encoding="utf-8")) if names and PAGE.exists() else {}
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    failed = 0
    for title, name, arguments in PARTS:
        if names and name not in names:
            continue
        print(f"running {name}", file=sys.stderr)
        command = ["-m", f"tests.bench.{name}", *arguments]
        done = subprocess.run(
            [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False
        )
        failed += done.returncode != 0
        shown = done.stdout.strip() or f"(not measured: {done.stderr.strip().splitlines()[-1:]})"
        day = datetime.datetime.now(datetime.UTC).date()
        kept[title] = f"`.venv/bin/python {' '.join(command)}`, {day}\n\n{shown}\n"
    parts = [HEAD.format(machine=machine)]
    parts += [f"## {title}\n\n{kept[title]}" for title, _, _ in PARTS if title in kept]
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text("\n".join(parts), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}", file=sys.stderr)
    return 1 if failed else 0


def sections(text: str) -> dict[str, str]:
    """What stands under each heading of the page."""
    pieces = re.split(r"^## (.+)\n\n", text, flags=re.MULTILINE)
    return {title: body.rstrip("\n") + "\n" for title, body in zip(pieces[1::2], pieces[2::2], strict=True)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
