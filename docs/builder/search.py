"""What the search finds beyond the words of a page: numbers such as 429, and what people type who do not know its words yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docutils import nodes
from sphinx.addnodes import index
from sphinx.search.en import SearchEnglish

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["PHRASES", "Language", "add_phrases"]

PHRASES = {
    "guides/getting-started": "quickstart, quick start, install, first call, pagination, catch errors, error handling, "
    "asyncio, api key, environment variable, base url, extra headers, custom headers, type hints, type checker, mypy, pyright",
    "guides/reliability": "retry, retries, 429, 422, 401, error 429, status code, too many requests, rate limit, error handling, "
    "catch errors, exceptions, unknown outcome, idempotency, timeout, duplicate calls, cancel, cancellation",
    "reference/models": "pydantic, model_dump",
    "reference/pages": "pagination, next page, iterate",
    "reference/types/index": "type hints",
    "reference/errors": "429, 422, 401, 400, 402, 403, 404, 500, error 429, status code, catch errors, error handling, exceptions",
    "guides/waiting": "wait for call, wait until call ended, call finished, polling",
    "guides/sync": "sync, synchronous, sync client, blocking, without asyncio, without await, threads",
    "guides/mcp": "mcp, model context protocol, claude, assistants",
    "guides/dispatch": "dial list, many calls, concurrent calls, bulk calls",
    "guides/moving": "pydantic, retell-sdk, official sdk",
    "guides/campaigns": "schedule calls, scheduled calls, dial list, calling hours, bulk calls",
    "guides/config": "deploy agent, deploy agents, version control, git, agents as code, prompt, version",
    "guides/webhooks": "webhook, ngrok, tunnel",
    "guides/cli": "ngrok, tunnel, cli, terminal",
    "guides/sandbox": "simulate error, simulate errors, fault, mock server, fake server",
    "guides/telemetry": "logging, logs, metrics, tracing, opentelemetry, prometheus, monitoring",
    "guides/archive": "store calls, database, sqlite, postgres",
    "guides/custom-llm": "custom llm, own llm, websocket",
    "guides/connections": "proxy, http2, certificates, timeout",
    "tasks/agents": "create agent, publish agent, deploy agent, version, prompt",
    "tasks/batch": "dial list, schedule calls, bulk calls",
    "tasks/job-ids": "find call by metadata, duplicate calls, idempotency",
    "tasks/knowledge-base": "upload file, upload files",
    "tasks/list-calls": "list calls, call history, pagination, next page, iterate",
    "tasks/place-a-call": "place a call, place call, make a call, outbound call, create call",
    "tasks/transcript": "get transcript, recording, download",
    "tasks/unknown-outcomes": "unknown outcome, timeout, OutcomeUnknownError, duplicate calls",
    "tasks/webhooks": "webhook, receive webhooks",
    "tasks/verify": "signature, verify signature",
}
"""What people type, by the page that answers it."""


class Language(SearchEnglish):
    """English, in which numbers are words."""

    def word_filter(self, word: str) -> bool:
        return word.isdigit() or super().word_filter(word)


def add_phrases(app: Sphinx, document: nodes.document) -> None:
    """Have a page found by its phrases, and by the words of these in any order."""
    phrases = PHRASES.get(app.env.docname)
    if phrases is not None:
        document.insert(0, index(entries=[("single", phrase, "", "main", None) for phrase in phrases.split(", ")]))
        document.insert(0, nodes.meta(name="keywords", content=",".join(phrases.replace(",", "").split())))
