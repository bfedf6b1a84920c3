"""What came of the calls that were played: for people, as JSON, and as JUnit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from xml.etree import ElementTree

from retell_async._core.masking import mask_text

from .judge import RULES, Finding, Latencies

if TYPE_CHECKING:
    from .link import Result

__all__ = ["Style", "as_json", "as_junit", "as_lines"]

Style: TypeAlias = Literal["", "green", "red", "yellow", "bold"]
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MOST_SHOWN = 3
_QUANTILES = {"p50": 0.5, "p95": 0.95}


def as_lines(results: Sequence[Result]) -> Iterator[tuple[Style, str]]:
    """For people: lines and how they look."""
    width = max((len(result.scenario.name) for result in results), default=0)
    for result in results:
        yield (
            "green" if result.passed else "red",
            f"{'ok  ' if result.passed else 'FAIL'}  {result.scenario.name:{width}}  {result.seconds:5.1f} s  {_clean(result.ended)}",
        )
        for rule, findings, broken in _broken(result):
            yield "bold", f"      {rule}: {RULES[rule]}"
            for finding in findings[:_MOST_SHOWN]:
                yield "", f"        {_clean(finding.what)}"
            if broken > _MOST_SHOWN:
                yield "", f"        and {broken - _MOST_SHOWN} more"
    if any(result.connected for result in results) and (unseen := _untested(results)):
        yield "yellow", f"never put to the test: {', '.join(unseen)}"
    if repeated := _repeated(results):
        what = "called again with the same arguments, a fault if it has a side effect (--tool NAME)"
        yield "yellow", f"{what}: {', '.join(map(_clean, repeated))}"
    if _alike(results):
        yield "yellow", "the same answer to whatever the caller said, a fault unless it is all there is to say: is the newest line read?"
    for name, latencies in _latencies(results).items():
        if latencies.values:
            shown = ", ".join(f"{label} {_milliseconds(latencies.quantile(share))} ms" for label, share in _QUANTILES.items())
            yield "", f"{name.replace('_', ' ')}: {shown}, of {len(latencies.values)} answers"
    failed = sum(not result.passed for result in results)
    unconnected = sum(not result.connected for result in results)
    calls = "1 call" if len(results) == 1 else f"{len(results)} calls"
    if unconnected == len(results):
        yield "red", f"{calls}, and none could be played"
        return
    without = f", {unconnected} not played" if unconnected else ""
    faults = f"{failed - unconnected} with faults" if failed > unconnected else "no fault"
    yield "red" if failed else "green", f"{calls}, {faults}{without}"


def as_json(results: Sequence[Result]) -> str:
    """As JSON: whether all passed, each call with what was said in it and its verdicts, and latencies in milliseconds."""
    latencies = {
        name: {
            "count": len(found.values),
            **{f"{label}_ms": _milliseconds(found.quantile(share)) for label, share in _QUANTILES.items()},
        }
        for name, found in _latencies(results).items()
    }
    calls: list[dict[str, Any]] = [
        {
            "scenario": result.scenario.name,
            "passed": result.passed,
            "connected": result.connected,
            "ended": _clean(result.ended),
            "seconds": round(result.seconds, 3),
            "said": [_clean(line) for line in result.said],
            "answers_alike": result.report.alike,
            "repeated_tools": [_clean(name) for name in result.report.repeated],
            "rules": [
                {
                    "rule": verdict.rule,
                    "sentence": RULES[verdict.rule],
                    "seen": verdict.seen,
                    "broken": verdict.broken,
                    "findings": [_clean(finding.what) for finding in verdict.findings],
                }
                for verdict in result.report.verdicts
            ],
        }
        for result in results
    ]
    return json.dumps({"passed": all(result.passed for result in results), "latencies": latencies, "calls": calls}, indent=2)


def as_junit(results: Sequence[Result]) -> str:
    """As XML that services for continuous integration read: a test case for each call."""
    failed = sum(result.connected and not result.passed for result in results)
    errors = sum(not result.connected for result in results)
    suite = ElementTree.Element(
        "testsuite",
        name="custom LLM",
        tests=str(len(results)),
        failures=str(failed),
        errors=str(errors),
        time=f"{sum(result.seconds for result in results):.3f}",
    )
    for result in results:
        case = ElementTree.SubElement(
            suite, "testcase", classname="custom_llm", name=_NOT_XML.sub("?", result.scenario.name), time=f"{result.seconds:.3f}"
        )
        if not result.connected:
            ElementTree.SubElement(case, "error", message=_clean(result.ended))
        elif not result.passed:
            broken = _broken(result)
            failure = ElementTree.SubElement(case, "failure", message=", ".join(rule for rule, _, _ in broken))
            failure.text = "\n".join(
                line
                for rule, findings, _ in broken
                for line in (f"{rule}: {RULES[rule]}", *(f"  {_clean(each.what)}" for each in findings))
            )
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)


def _broken(result: Result) -> list[tuple[Any, Sequence[Finding], int]]:
    return [(verdict.rule, verdict.findings, verdict.broken) for verdict in result.report.verdicts if verdict.broken]


def _untested(results: Sequence[Result]) -> list[str]:
    seen = {verdict.rule for result in results for verdict in result.report.verdicts if verdict.seen}
    return [rule for rule in RULES if rule not in seen and rule != "stays-open"]


def _repeated(results: Sequence[Result]) -> list[str]:
    return sorted({name for result in results for name in result.report.repeated})


def _alike(results: Sequence[Result]) -> bool:
    """Whether there is no call in which two things that the caller said were answered differently."""
    found = {result.report.alike for result in results}
    return True in found and False not in found


def _latencies(results: Sequence[Result]) -> dict[str, Latencies]:
    return {
        name: Latencies([value for result in results for value in getattr(result.report, name).values])
        for name in ("first_frame", "first_sentence")
    }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


def _clean(text: str) -> str:
    """Without what a terminal or XML would take for something else, and with numbers masked."""
    return mask_text("".join(letter if letter.isprintable() else "?" for letter in text))
