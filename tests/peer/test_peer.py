"""What `make peer` stands on. It takes minutes, and the official SDK from the index: it is no test of `make test`."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.peer.server import DOCUMENT, Answers

HERE = Path(__file__).parent
ANSWERS = Answers(DOCUMENT)
OPERATIONS = [(method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_operation_is_answered_as_the_document_says(method: str, path: str) -> None:
    found = ANSWERS.find(method, re.sub(r"{\w+}", "id_1", path))
    assert found is not None
    status, body = found
    responses = DOCUMENT["paths"][path][method.lower()]["responses"]
    assert str(status) in responses
    assert (body is None) is ("application/json" not in responses[str(status)].get("content", {}))


def test_the_shim_of_test_client_is_short() -> None:
    assert len((HERE / "shims" / "peer_client.py").read_text(encoding="utf-8").splitlines()) <= 80


def test_each_difference_has_a_reason() -> None:
    differs = tomllib.loads((HERE / "differs.toml").read_text(encoding="utf-8"))["test_client"]
    assert differs
    assert all(differs.values())
