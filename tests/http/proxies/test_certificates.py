"""Certificates that are given or named in the environment, and cannot be read: one error that says which, and nothing is tried again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from retell_async import APIConnectionError, AsyncRetell, ConfigurationError, DefaultAsyncHttpxClient, Retell

from ...engine.example import KEY

URL = "https://127.0.0.1:9"  # nothing is sent there

WRONG = [
    ("SSL_CERT_FILE", "comany.pem", "No such file"),
    ("SSL_CERT_FILE", "empty.pem", "SSLError"),
    ("SSL_CERT_FILE", "broken.pem", "SSLError"),
    ("SSL_CERT_FILE", "", "directory"),
    ("SSL_CERT_DIR", "nope", "no such directory"),
    ("SSL_CERT_DIR", "empty.pem", "no such directory"),
]


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "empty.pem").touch()
    (tmp_path / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n")
    return tmp_path


@pytest.mark.anyio
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(("variable", "name", "why"), WRONG)
async def test_what_cannot_be_read_is_one_error_that_names_the_variable_and_the_path(
    monkeypatch: pytest.MonkeyPatch, folder: Path, variable: str, name: str, why: str, own: bool
) -> None:
    monkeypatch.setenv(variable, str(folder / name))
    told: list[object] = []
    given = DefaultAsyncHttpxClient() if own else None
    async with AsyncRetell(KEY, base_url=URL, hooks=[told.append], http_client=given) as client:
        for _ in range(2):  # the second is not sent without certificates
            with pytest.raises(ConfigurationError, match=why) as caught:
                await client.call.create_phone_call(from_number="+14155550100", to_number="+14155550101")
            assert f"{variable}={folder / name}" in str(caught.value)
    assert told == []


@pytest.mark.parametrize(("variable", "name", "why"), WRONG)
def test_so_it_is_without_await(monkeypatch: pytest.MonkeyPatch, folder: Path, variable: str, name: str, why: str) -> None:
    monkeypatch.setenv(variable, str(folder / name))
    told: list[object] = []
    with Retell(KEY, base_url=URL, hooks=[told.append]) as client, pytest.raises(ConfigurationError, match=why) as caught:
        client.call.retrieve("call_1")
    assert f"{variable}={folder / name}" in str(caught.value)
    assert told == []


@pytest.mark.anyio
@pytest.mark.filterwarnings("ignore:.*is deprecated")  # by httpx, which would rather be given a context
@pytest.mark.parametrize("name", ["nope.pem", "empty.pem", "broken.pem"])
@pytest.mark.parametrize("setting", ["verify", "cert"])
async def test_so_it_is_with_those_that_are_given(folder: Path, setting: str, name: str) -> None:
    path = str(folder / name)
    given = DefaultAsyncHttpxClient(verify=path) if setting == "verify" else DefaultAsyncHttpxClient(cert=path)
    told: list[object] = []
    async with AsyncRetell(KEY, base_url=URL, hooks=[told.append], http_client=given) as client:
        with pytest.raises(ConfigurationError, match="given as verify or cert"):
            await client.call.retrieve("call_1")
    assert told == []


def test_a_list_of_directories_may_have_one_that_is_not_there(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", os.pathsep.join((str(folder / "nope"), str(folder))))
    with Retell(KEY, base_url=URL, max_retries=0) as client, pytest.raises(APIConnectionError):
        client.call.retrieve("call_1")
