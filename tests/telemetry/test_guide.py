"""The trace that the guide shows is the one that its program prints."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "telemetry.md"


def test_the_trace_of_the_guide() -> None:
    found = re.search(r"^```python\n((?:(?!^```).)*^show\(.*?)^```$.*?^```text\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    program, shown = found.groups()
    with contextlib.redirect_stdout(printed := io.StringIO()):
        exec(compile(program, GUIDE.name, "exec"), {"__name__": "__main__"})
    assert printed.getvalue() == shown
    names = [line.split()[0] for line in shown.splitlines()]
    assert names[:2] == ["POST", "call.create_phone_call"]
    assert sum(not line.startswith(" ") for line in shown.splitlines()) == 1  # one root: one trace
    assert {"webhook call_started", "webhook call_ended", "webhook call_analyzed"} <= {
        " ".join(line.split()[:2]) for line in shown.splitlines()
    }
