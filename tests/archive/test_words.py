from __future__ import annotations

import pytest

from retell_async import ConfigurationError
from retell_async.archive.queries.words import match_of, tsquery_of, worded


@pytest.mark.parametrize(
    ("asked", "match", "tsquery"),
    [
        ("Half past", '("Half") AND ("past")', "(half) & (past)"),
        ('"half past" Café', '("half past") AND ("Café")', "(half <-> past) & (cafe)"),
        ("good*", '("good"*)', "(good:*)"),
        ("this or that", '("this" OR "that")', "(this | that)"),
        ("park -car", '("park") NOT "car"', "(park) & !(car)"),
        ("नमस्ते", '("नमस्ते")', "(नमस्ते)"),
        ("안녕", '("안녕")', "(안녕)"),
        ("İstanbul МОЙ", '("İstanbul") AND ("МОЙ")', "(istanbul) & (мои)"),
        ("don't", '("don t")', "(don <-> t)"),
        ('a" ); drop table', '("a") AND ("drop table")', "(a) & (drop <-> table)"),
    ],
)
def test_both_databases_are_asked_the_same(asked: str, match: str, tsquery: str) -> None:
    assert (match_of(asked), tsquery_of(asked)) == (match, tsquery)


@pytest.mark.parametrize("asked", ["", " ", '""', "-car", "!&|()*"])
def test_there_must_be_a_word(asked: str) -> None:
    with pytest.raises(ConfigurationError, match="no word"):
        match_of(asked)
    with pytest.raises(ConfigurationError, match="no word"):
        tsquery_of(asked)


def test_what_was_said_and_what_is_asked_for_have_the_same_words() -> None:
    assert worded("To Ann@example.com, 555-0123 or_49.99: café नमस्ते") == "to ann example com  555 0123 or 49 99  cafe नमस्ते"
