"""A custom LLM: a receptionist who books a slot at most once, whoever interrupts her, and needs no account, no key and no model.

    python -m examples.custom_llm

Retell's address for it is then `wss://<your host>/<secret>`; the secret is printed. With `CHAT_URL`, `CHAT_MODEL` and `CHAT_KEY` set, a
chat endpoint that speaks as OpenAI's does has the words in place of the few rules below.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
from collections.abc import AsyncIterator, Mapping

from retell_async import llm

FREE = {"ten", "eleven", "three"}

SYSTEM = f"You are the receptionist of a hairdresser. Be brief. Free slots are at {', '.join(sorted(FREE))}."


class Receptionist(llm.Agent):
    """Asks for a time, books it, and says goodbye."""

    async def on_enter(self, turn: llm.Turn) -> AsyncIterator[str]:
        variables = turn.call.retell_llm_dynamic_variables if turn.call is not None else None
        yield f"Hello {variables['name']}, " if variables and "name" in variables else "Hello, "
        yield "when would you like to come?"

    async def on_turn(self, turn: llm.Turn) -> AsyncIterator[str]:
        booked = turn.session.state.get("slot")
        wanted = next((slot for slot in re.findall(r"[a-z]+", turn.said.lower()) if slot in FREE), None)
        if re.search(r"\b(bye|no|thanks)\b", turn.said, re.IGNORECASE):
            yield "Goodbye, see you soon." if booked else "Goodbye."
            turn.end_call()
        elif booked is not None:
            yield f"You are booked at {booked}. Is there anything else?"
        elif wanted is None:
            yield f"We are free at {', '.join(sorted(FREE))}. Which would you like?"
        else:
            yield "One moment, please. "
            slot = await turn.once("book", lambda: book(turn.session, wanted))
            turn.session.state["slot"] = slot
            yield f"You are booked at {slot}. Is there anything else?"

    async def on_reminder(self, turn: llm.Turn) -> AsyncIterator[str]:
        yield "Are you still there?" if turn.transcript else "Hello?"


async def book(session: llm.Session, slot: str) -> str:
    """What must not happen twice in a call, and stands in the transcript as often as it happens; here it only takes its time."""
    noted = session.tool_call("book", {"slot": slot})
    await asyncio.sleep(0.3)
    session.tool_result(noted, "booked", successful=True)
    return slot


async def book_tool(turn: llm.Turn, slot: str) -> str:
    """What the model calls: its calls are noted already."""
    if slot not in FREE:
        return "not free"
    await asyncio.sleep(0.3)
    turn.session.state["slot"] = slot
    return f"booked at {slot}"


def end_call_tool(turn: llm.Turn) -> str:
    turn.end_call()
    return "say goodbye"


def create_app(environment: Mapping[str, str], secret: str) -> llm.App:
    """The application, with the rules above or with a chat endpoint."""
    chat = environment.get("CHAT_URL")
    if chat is None:
        app = llm.App(secret=secret, filler="Let me see.")
        app.agent(Receptionist)
        return app
    app = llm.App(secret=secret, begin_message="Hello, when would you like to come?", filler="Let me see.")
    slots = {"type": "object", "properties": {"slot": {"type": "string", "enum": sorted(FREE)}}, "required": ["slot"]}
    app.agent(
        llm.ChatCompletions(
            chat,
            model=environment["CHAT_MODEL"],
            api_key=environment.get("CHAT_KEY"),
            system=SYSTEM,
            tools=[
                llm.Tool("book", "Book a slot.", slots, book_tool),
                llm.Tool("end_call", "Hang up after a goodbye.", {"type": "object", "properties": {}}, end_call_tool),
            ],
        )
    )
    return app


def main() -> None:
    """Serve on port 8080, or on `PORT`, until a signal ends it."""
    secret = os.environ.get("SECRET") or secrets.token_urlsafe()
    port = int(os.environ.get("PORT", "8080"))
    print(f"ws://127.0.0.1:{port}/{secret}", flush=True)
    llm.serve(create_app(os.environ, secret), port=port)


if __name__ == "__main__":
    main()
