"""The next version of this package, as it were, in which campaigns have another format: run as `child.py` is."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path

from retell_async.campaigns import Case
from retell_async.campaigns.durable import format as formats


def install(set: Callable[[object, str, object], object]) -> None:
    """Put it in the place of this version.

    :param set: sets an attribute, as `setattr` does.
    """
    former_text, former_from = formats.case_text, formats.case_from

    def case_text(case: Case) -> str:
        return json.dumps(renamed(json.loads(former_text(case))))

    def case_from(text: str) -> Case:
        said = json.loads(text)
        return former_from(json.dumps({**said, "end": said["ended_as"]}))

    def renamed(said: formats.Json) -> formats.Json:
        return {("ended_as" if name == "end" else name): value for name, value in said.items()}

    step = formats.Step(case=renamed, tables=("ALTER TABLE retell_contact ADD COLUMN remark VARCHAR",))
    former = formats.FORMAT
    set(formats, "FORMAT", former + 1)
    set(formats, "STEPS", {**formats.STEPS, former: step})
    set(formats, "case_text", case_text)
    set(formats, "case_from", case_from)


if __name__ == "__main__":
    install(setattr)
    runpy.run_path(str(Path(__file__).with_name("child.py")), run_name="__main__")
