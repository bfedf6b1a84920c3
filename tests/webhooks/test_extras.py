"""Modules that need an extra, where it is not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = [pytest.mark.soak, pytest.mark.parallel]

_PROGRAM = """
import importlib, sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
import retell_async.webhooks
importlib.import_module({module!r})
"""


@pytest.mark.parametrize(("extra", "missing"), [("fastapi", "fastapi"), ("fastapi", "starlette"), ("aiohttp", "aiohttp")])
def test_one_line_says_which_extra_to_install(extra: str, missing: str) -> None:
    module = f"retell_async.webhooks.{extra}"
    program = _PROGRAM.format(missing=missing, module=module)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "During handling" not in done.stderr
    assert done.stderr.splitlines()[-1] == (
        f"ModuleNotFoundError: {missing} is missing: {module} needs `pip install 'retell-async[{extra}]'`"
    )


def test_an_event_is_read_where_nothing_else_of_the_package_was_used() -> None:
    code = """
from retell_async import webhooks
call = '{"event": "call_ended", "call": {"call_type": "phone_call", "call_id": "call_1", "call_status": "ended"}}'
signature = webhooks.sign(call, "key")
event = webhooks.unwrap(call, {"x-retell-signature": signature}, api_key="key")
print(type(event.call).__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "PhoneCallResponse"
