"""`hookline contacts import`: a file beside a running server, or without one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from support.commands import Ran

Typed = Callable[..., Ran]


def test_a_file_is_imported_and_bad_lines_are_printed(typed: Typed, tmp_path: Path) -> None:
    file = tmp_path / "contacts.csv"
    file.write_text("email,balance\nada@example.com,1\nno address,2\nbob@example.com,3\n")
    first = typed("contacts", "import", str(file), "--types", "balance:number")
    assert (first.code, first.err.splitlines()[0][:14]) == (1, "line 3: email:")
    assert "3 read: 2 created, 0 updated, 0 unchanged, 1 bad" in first.out
    again = typed("contacts", "import", str(file), "--types", "balance:number", "--no-events")
    assert "2 unchanged, 1 bad" in again.out
    lines = tmp_path / "contacts.jsonl"
    lines.write_text(json.dumps({"email": "ada@example.com", "attributes": {"balance": 1}}) + "\n")
    same = typed("contacts", "import", str(lines))
    assert (same.code, same.err) == (0, "") and "1 unchanged" in same.out
    finished = typed("contacts", "import", str(file), "--resume", same.out.split()[0])
    assert "finished" in finished.mistake


def test_mistakes_are_sentences(typed: Typed, tmp_path: Path) -> None:
    file = tmp_path / "contacts.csv"
    file.write_text("name\nAda\n")
    assert "no column is named email" in typed("contacts", "import", str(file)).mistake
    assert "no list 'news'" in typed("contacts", "import", str(file), "--list", "news").mistake
    assert "contacts.txt" in typed("contacts", "import", str(tmp_path / "contacts.txt")).mistake
