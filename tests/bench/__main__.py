"""All benchmarks; writes docs/benchmarks.md: `make bench`."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = (
    ("The command `triage classify` with the local model", "tests.bench.command"),
    ("The local model by itself", "tests.bench.classify"),
    (
        "Replies, signatures, bounces, subjects: agreement with other projects' expectations",
        "tests.bench.replies",
    ),
    ("`triage ingest` against the interpreter's own parse of the same mails", "tests.bench.ingest"),
    ("Fetching a mailbox against bare IMAPClient", "tests.bench.imap"),
)
HEAD = """# Benchmarks

Written by `make bench` on {day}, {machine}. Machines differ and are noisy: speeds are here to be compared
within one run. The data is foreign (nobody on this project wrote it) and is not part of this repository;
`TRIAGE_TEST_DATA` names its folder. Other data of the same kind judges what lands; these figures are of
the part that may be looked at.
"""


def main() -> int:
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    parts = [HEAD.format(day=datetime.datetime.now(datetime.UTC).date(), machine=machine)]
    failed = 0
    for title, module in PARTS:
        print(f"running {module}", file=sys.stderr)
        done = subprocess.run(
            [sys.executable, "-m", module], cwd=ROOT, capture_output=True, text=True, check=False
        )
        failed += done.returncode != 0
        shown = done.stdout.strip() or f"(not measured: {done.stderr.strip().splitlines()[-1:]})"
        parts.append(f"## {title}\n\n`.venv/bin/python -m {module}`\n\n{shown}\n")
    (ROOT / "docs").mkdir(exist_ok=True)
    (ROOT / "docs" / "benchmarks.md").write_text("\n".join(parts), encoding="utf-8")
    print("wrote docs/benchmarks.md", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
