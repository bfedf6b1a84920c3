"""Settings of an account, and the options of the command that become them."""

from __future__ import annotations

from typing import Any

import pytest

from retell_async.sandbox import Settings
from retell_async.sandbox.__main__ import main


@pytest.mark.parametrize(
    "url",
    ["nope", "", "key_0123", "localhost:8000/events", "ftp://host/", "http://", "http://[::1", "http://host:99999/", "http://a/\n", 5],
)
def test_a_webhook_that_is_no_url_is_refused(url: Any) -> None:
    with pytest.raises(ValueError, match="webhook_url must be a URL such as http://") as refused:
        Settings(webhook_url=url)
    assert "0123" not in str(refused.value)  # it may be a key in the wrong place


@pytest.mark.parametrize(
    "url", [None, "http://127.0.0.1:8000/retell/events", "https://[::1]/", "HTTPS://host", "http://host/events?customer={{customer_name}}"]
)
def test_a_webhook_is_an_http_url(url: str | None) -> None:
    assert Settings(webhook_url=url).webhook_url == url


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--webhook-url", "nope"], "webhook_url must be a URL such as http://127.0.0.1:8000/retell/events"),
        (["--allow-host", "http://sandbox:8888/"], "--allow-host takes a name such as sandbox, without scheme, port and path"),
        (["--allow-host", "sandbox:8888"], "--allow-host takes a name such as sandbox"),
        (["--allow-host", "127.0.0.1:8888"], "--allow-host takes a name such as sandbox"),
        (["--allow-host", ""], "--allow-host takes a name such as sandbox"),
    ],
)
def test_an_option_that_cannot_be_is_one_line(options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(options) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"The sandbox cannot start: {said}")
    assert err.count("\n") == 1
