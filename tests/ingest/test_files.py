from __future__ import annotations

import json
import os
import resource
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import messages, raw_messages, tickets
from pipeline.errors import InputError
from pipeline.ingest import files
from pipeline.ingest.files import Counts, find_mails, ingest_paths, watch_folder
from pipeline.ingest.inboxes import FolderInbox
from pipeline.ingest.intake import store_raw
from tests.ingest.mails import count, mail, raw_states


def adds_up(counts: Counts) -> bool:
    return counts.received == (counts.messages + counts.automated + counts.duplicates + counts.quarantined)


def bodies(path: Path) -> list[bytes]:
    return [found.body for found in find_mails(path) if not found.skipped]


def test_an_eml_file_is_taken_and_taken_again_is_a_duplicate(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "a.eml"
    path.write_bytes(mail())
    assert ingest_paths(store, [path]).to_json() == {
        "received": 1, "tickets": 1, "messages": 1, "automated": 0, "duplicates": 0, "quarantined": 0,
        "skipped": 0,
    }  # fmt: skip
    again = ingest_paths(store, [path])
    assert (again.received, again.duplicates, again.tickets) == (1, 1, 0)


def test_every_kind_is_counted_and_the_counts_add_up(store: Store, tmp_path: Path) -> None:
    tmp_path = tmp_path / "in"
    tmp_path.mkdir()
    for name, raw in {
        "1.eml": mail(),
        "2.txt": mail("And this", message_id="<2@c>", in_reply_to="<one@customer.example>"),
        "3": mail("Away", message_id="<3@c>", auto_submitted="auto-replied"),
        "4.eml": b"Received: by two.example; Mon, 23 Nov 2026 09:00:01 +0000\r\n" + mail(),
        "5.eml": b"\x00\x01",
        "6.eml": mail(),
    }.items():
        (tmp_path / name).write_bytes(raw)
    (tmp_path / "index.json").write_text("{}")
    seen: list[Counts] = []
    hints: list[int] = []
    counts = ingest_paths(store, [tmp_path], progress=seen.append, on_ticket=hints.append)
    assert counts == Counts(
        received=6, tickets=2, messages=2, automated=1, duplicates=2, quarantined=1, skipped=1
    )
    assert adds_up(counts)
    assert seen[-1] == counts
    assert len(hints) == 3
    again = ingest_paths(store, [tmp_path])
    assert (again.duplicates, again.received, again.tickets) == (6, 6, 0)


def test_an_mbox_is_split_and_its_escapes_are_undone(tmp_path: Path) -> None:
    path = tmp_path / "box"
    path.write_bytes(
        b"From ann@c Mon Nov 23 09:00:00 2026\nSubject: one\n\nFrom the start of a line\n>From here\n>>From there\n\n"
        b"From the middle of a text, after an empty line\n\n"
        b"From bob@c Mon Nov 23 09:01:00 2026\nSubject: two\n\nlast line without an end"
    )
    assert bodies(path) == [
        b"Subject: one\n\nFrom the start of a line\nFrom here\n>From there\n\n"
        b"From the middle of a text, after an empty line\n",
        b"Subject: two\n\nlast line without an end",
    ]


def test_an_mbox_with_crlf_and_one_from_thunderbird_are_split(tmp_path: Path) -> None:
    path = tmp_path / "box"
    path.write_bytes(
        b"From - Mon Nov 23 09:00:00 2026\r\nA: 1\r\n\r\nx\r\n\r\nFrom - Mon Nov 23 09:00:00 2026\r\nA: 2\r\n\r\n"
    )
    assert bodies(path) == [b"A: 1\r\n\r\nx\r\n", b"A: 2\r\n"]


def test_a_maildir_gives_cur_and_new_but_not_tmp(tmp_path: Path) -> None:
    for folder in ("cur", "new", "tmp", ".Sent/cur", ".Sent/new"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "cur" / "1.host:2,S").write_bytes(b"A: 1\n\n")
    (tmp_path / "new" / "2.host").write_bytes(b"A: 2\n\n")
    (tmp_path / "tmp" / "3.host").write_bytes(b"A: half")
    (tmp_path / ".Sent" / "cur" / "4.host.json").write_bytes(b"A: 4\n\n")
    (tmp_path / "dovecot-uidlist").write_bytes(b"3 V1")
    assert sorted(bodies(tmp_path)) == [b"A: 1\n\n", b"A: 2\n\n", b"A: 4\n\n"]


def test_a_path_that_is_not_there_stores_nothing(sqlite_store: Store, tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(mail())
    with pytest.raises(InputError, match="there is no such file"):
        ingest_paths(sqlite_store, [tmp_path / "a.eml", tmp_path / "b.eml"])
    assert count(sqlite_store, raw_messages) == 0


def test_a_file_that_cannot_be_read_is_one_line_and_holds_up_nothing(
    sqlite_store: Store, tmp_path: Path
) -> None:
    (tmp_path / "a.eml").write_bytes(mail())
    (tmp_path / "b.eml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path)
    if os.geteuid() != 0:
        (tmp_path / "c.eml").write_bytes(mail())
        (tmp_path / "c.eml").chmod(0)
    os.mkfifo(tmp_path / "pipe.eml")
    counts = ingest_paths(sqlite_store, [tmp_path])
    assert counts.messages == 1
    assert len(counts.problems) == (0 if os.geteuid() == 0 else 1)


def test_more_than_a_batch_is_one_message_each(store: Store, tmp_path: Path) -> None:
    with (tmp_path / "box").open("wb") as box:
        for number in range(files.BATCH_MESSAGES * 2 + 5):
            box.write(
                b"From x Mon Nov 23 09:00:00 2026\n" + mail(f"n {number}", message_id=f"<{number}@c>") + b"\n"
            )
    counts = ingest_paths(store, [tmp_path / "box"])
    assert counts.messages == count(store, messages) == files.BATCH_MESSAGES * 2 + 5
    assert ingest_paths(store, [tmp_path / "box"]).duplicates == counts.received


def test_two_processes_with_the_same_files_take_each_mail_once(store: Store, tmp_path: Path) -> None:
    tmp_path = tmp_path / "in"
    tmp_path.mkdir()
    for number in range(120):
        (tmp_path / f"{number:03}.eml").write_bytes(mail(f"n {number}", message_id=f"<{number}@c>"))
    found: list[Counts] = []
    threads = [
        threading.Thread(target=lambda: found.append(ingest_paths(store, [tmp_path]))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(adds_up(one) for one in found)
    assert sum(one.messages for one in found) == 120 == count(store, messages) == count(store, tickets)
    assert set(raw_states(store)) == {("parsed", None)}


def test_what_a_killed_run_left_is_finished_by_the_next(store: Store, tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(mail())
    with store.write() as connection:
        store_raw(connection, "files", mail(), begun=True)
    counts = ingest_paths(store, [tmp_path])
    assert (counts.messages, counts.duplicates) == (1, 0)


def test_a_mail_longer_than_we_read_is_kept_cut(sqlite_store: Store, tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(mail("x" * 9_000))
    (tmp_path / "b").write_bytes(
        b"From x Mon Nov 23 09:00:00 2026\n"
        + mail("y\n" * 9_000)
        + b"\n"
        + b"From x Mon Nov 23 09:00:00 2026\n"
        + mail()
    )
    counts = ingest_paths(sqlite_store, [tmp_path], limit=5_000)
    assert (counts.quarantined, counts.messages) == (2, 1)
    assert raw_states(sqlite_store)[0] == ("quarantined", "more than 5000 bytes; the rest was not read")


def test_the_memory_stays_flat_over_a_large_mbox(sqlite_store: Store, tmp_path: Path) -> None:
    path = tmp_path / "box"
    filler = ("lorem ipsum dolor sit amet " * 40 + "\n") * 90  # about 100 kB
    with path.open("wb") as box:
        for number in range(400):
            box.write(
                b"From x Mon Nov 23 09:00:00 2026\n"
                + mail(f"{number}\n{filler}", message_id=f"<{number}@c>")
                + b"\n"
            )
    peaks: list[int] = []

    def note(counts: Counts) -> None:
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

    counts = ingest_paths(sqlite_store, [path], progress=note)
    assert counts.messages == 400
    assert peaks[-1] - peaks[1] < 30_000  # kB; the file is 40 MB


def test_a_watched_folder_takes_what_appears(store: Store, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "cur").mkdir()
    (tmp_path / "new" / "1.host").write_bytes(mail())
    inbox = FolderInbox(name="support", kind="folder", path=tmp_path, poll_s=0.05)
    stop = threading.Event()
    hints: list[int] = []
    thread = threading.Thread(target=watch_folder, args=(inbox, store, stop, hints.append))
    thread.start()
    try:
        wait_for(lambda: len(hints) == 1)
        shutil.move(tmp_path / "new" / "1.host", tmp_path / "cur" / "1.host:2,S")
        (tmp_path / "new" / "2.host").write_bytes(mail("second", message_id="<2@c>"))
        wait_for(lambda: len(hints) == 2)
    finally:
        stop.set()
        thread.join()
    assert count(store, messages) == 2
    with store.read() as connection:
        assert connection.execute(sa.select(tickets.c.inbox).distinct()).scalars().all() == ["support"]


def wait_for(condition: object, seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def test_all_mail_of_the_shared_data_goes_through(sqlite_store: Store) -> None:
    folder = Path(os.environ.get("TRIAGE_TEST_DATA") or Path(__file__).parents[2] / "../shared/data") / "mail"
    if not folder.is_dir():
        pytest.skip(f"SKIPPED FOR WANT OF DATA: no mails of other projects in {folder}; set TRIAGE_TEST_DATA")
    listed = [json.loads(line)["file"] for line in (folder / "index.jsonl").read_text().splitlines()]
    counts = ingest_paths(sqlite_store, [folder])
    assert counts.received >= len(listed)
    assert adds_up(counts)
    assert counts.problems == ()
    again = ingest_paths(sqlite_store, [folder])
    assert again == replace(
        Counts(), received=counts.received, duplicates=counts.received, skipped=counts.skipped
    )
