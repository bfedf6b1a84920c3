"""What is searched for: words as both databases understand them."""

from __future__ import annotations

import re
import unicodedata

from ..._core.errors import ConfigurationError

__all__ = ["match_of", "tsquery_of", "worded"]

_PART = re.compile(r'(?P<no>-?)(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+))')
_ACCENT = re.compile(r"[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670]")
"""Of Latin, Greek and Cyrillic letters, and the vowel points of Hebrew and Arabic; the marks of other scripts make other words."""
_SEARCHED = 200_000
"""Letters of a text that are searched on Postgres, which refuses one whose different words have more than a megabyte."""
_SIGN = re.compile(r"[\W_]")


def worded(text: str) -> str:
    """The words of a text, folded, with nothing but blanks between them: those of its beginning, if it is very long.

    Of signs Postgres would make up its own mind: to it ann@example.com is one word, and in 555-0123 there is a negative number.
    """
    return _SIGN.sub(_blank, folded(text)[:_SEARCHED])


def folded(text: str) -> str:
    """A text in small letters without accents."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", _ACCENT.sub("", unicodedata.normalize("NFKD", text.lower())))


def match_of(asked: str) -> str:
    """What is asked for, as FTS5 of SQLite has it.

    :raises ConfigurationError: there is no word in it, or only words that are not to be there.
    """
    wanted, unwanted = _parsed(unicodedata.normalize("NFC", asked))  # case and accents it folds as those of what was said
    found = " AND ".join(f"({' OR '.join(_fts5(one) for one in group)})" for group in wanted)
    return found + "".join(f" NOT {_fts5(one)}" for one in unwanted)


def tsquery_of(asked: str) -> str:
    """What is asked for, as ``to_tsquery`` of Postgres has it.

    :raises ConfigurationError: there is no word in it, or only words that are not to be there.
    """
    wanted, unwanted = _parsed(folded(asked))
    found = " & ".join(f"({' | '.join(_tsquery(one) for one in group)})" for group in wanted)
    return found + "".join(f" & !({_tsquery(one)})" for one in unwanted)


def _parsed(asked: str) -> tuple[list[list[tuple[list[str], bool]]], list[tuple[list[str], bool]]]:
    """Groups of which each is to be there by one of its phrases, and phrases that are not to be there.

    With each phrase goes whether its last word is only the beginning of one.
    """
    wanted: list[list[tuple[list[str], bool]]] = []
    unwanted: list[tuple[list[str], bool]] = []
    joined = False
    for part in _PART.finditer(asked):
        text = part["phrase"] if part["phrase"] is not None else part["word"]
        if wanted and part["word"] is not None and part["word"].lower() == "or":
            joined = True
            continue
        words = _SIGN.sub(_blank, text).split()
        if not words:
            continue
        one = (words, text.endswith("*"))
        if part["no"]:
            unwanted.append(one)
        elif joined:
            wanted[-1].append(one)
        else:
            wanted.append([one])
        joined = False
    if not wanted:
        raise ConfigurationError('there is no word to look for: words, "a phrase", begin*, this or that, -without')
    return wanted, unwanted


def _blank(sign: re.Match[str]) -> str:
    return sign[0] if unicodedata.category(sign[0]).startswith("M") else " "  # a mark is part of its letter


def _fts5(one: tuple[list[str], bool]) -> str:
    words, begins = one
    return f'"{" ".join(words)}"' + ("*" if begins else "")


def _tsquery(one: tuple[list[str], bool]) -> str:
    words, begins = one
    return " <-> ".join(words) + (":*" if begins else "")
