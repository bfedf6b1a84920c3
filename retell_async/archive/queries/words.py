"""What is searched for: words as both databases understand them."""

from __future__ import annotations

import re
import unicodedata

from ..._core.errors import ConfigurationError

__all__ = ["folded", "match_of", "tsquery_of"]

_PART = re.compile(r'(?P<no>-?)(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+))')
_WORD = re.compile(r"[^\W_]+")


def folded(text: str) -> str:
    """A text without accents."""
    if text.isascii():
        return text
    return "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))


def match_of(asked: str) -> str:
    """What is asked for, as FTS5 of SQLite has it.

    :raises ConfigurationError: there is no word in it, or only words that are not to be there.
    """
    wanted, unwanted = _parsed(asked)
    found = " AND ".join(f"({' OR '.join(_fts5(one) for one in group)})" for group in wanted)
    return found + "".join(f" NOT {_fts5(one)}" for one in unwanted)


def tsquery_of(asked: str) -> str:
    """What is asked for, as ``to_tsquery`` of Postgres has it.

    :raises ConfigurationError: there is no word in it, or only words that are not to be there.
    """
    wanted, unwanted = _parsed(asked)
    found = " & ".join(f"({' | '.join(_tsquery(one) for one in group)})" for group in wanted)
    return found + "".join(f" & !({_tsquery(one)})" for one in unwanted)


def _parsed(asked: str) -> tuple[list[list[tuple[list[str], bool]]], list[tuple[list[str], bool]]]:
    """Groups of which each is to be there by one of its phrases, and phrases that are not to be there.

    With each phrase goes whether its last word is only the beginning of one.
    """
    wanted: list[list[tuple[list[str], bool]]] = []
    unwanted: list[tuple[list[str], bool]] = []
    joined = False
    for part in _PART.finditer(folded(asked).lower()):
        text = part["phrase"] if part["phrase"] is not None else part["word"]
        if part["word"] == "or" and wanted:
            joined = True
            continue
        words = _WORD.findall(text)
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


def _fts5(one: tuple[list[str], bool]) -> str:
    words, begins = one
    return f'"{" ".join(words)}"' + ("*" if begins else "")


def _tsquery(one: tuple[list[str], bool]) -> str:
    words, begins = one
    return " <-> ".join(words) + (":*" if begins else "")
