"""Which calls get the draft of an agent, before anybody publishes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias, cast

import attrs

from .kinds import BINDINGS, Json

__all__ = ["Binding", "Calls", "Latest", "bindings"]

Binding: TypeAlias = tuple[str, str, Any]
"""A field, the agent that it leads to, and the version of it that it names."""


@attrs.frozen
class Latest:
    """The latest version of an agent.

    :param tags: the versions that the agent's tags stand on.
    """

    version: int | None
    published: bool
    tags: Mapping[str, int] = attrs.field(factory=dict[str, int])

    def is_passed_by(self, named: Any) -> bool:
        """Whether calls that name a version of the agent get another one than its draft, also than the draft that is made next.

        :param named: the number, the tag or `latest_published`; ``None`` if they name none.
        """
        draft = None if self.published else self.version
        if named == "latest_published":
            return draft != 0
        version = self.tags.get(named, named) if isinstance(named, str) else named
        return isinstance(version, int) and version != draft  # a tag that stands on no version counts as the latest


@attrs.frozen
class Calls:
    """What the calls of an account are bound to, by the names of objects; by ids where no file is about them.

    :param agents: the latest versions.
    :param engines: by agent, its LLM or flow.
    :param bound: by number, and by LLM, flow or component that hands calls over, the agents that it leads to.
    """

    agents: Mapping[str, Latest] = attrs.field(factory=dict[str, Latest])
    engines: Mapping[str, str] = attrs.field(factory=dict[str, str])
    bound: Mapping[str, tuple[Binding, ...]] = attrs.field(factory=dict[str, "tuple[Binding, ...]"])

    def drafted_with(self, engine: str) -> list[str]:
        """The agents whose draft has an engine."""
        return [agent for agent, found in self.engines.items() if found == engine and not self.agents[agent].published]

    def takes_draft(self, agent: str, named: Any) -> bool:
        """Whether what names a version of an agent gets its draft, if there is one. An agent that is just made has nothing else."""
        return agent not in self.agents or not self.agents[agent].is_passed_by(named)

    def takers(self, agent: str) -> list[str]:
        """What leads calls to the draft of an agent."""
        return [name for name, found in self.bound.items() if agent in self.drafts_of(found)]

    def takes_more(self, name: str, agent: str) -> bool:
        """Whether what leads calls to the draft of an agent does more than a canary, which names it by number beside another version."""
        found = [(field, named) for field, other, named in self.bound[name] if other == agent]
        shared = {field for field, named in found if field in BINDINGS and not self.takes_draft(agent, named)}
        return any(self.takes_draft(agent, named) and not (isinstance(named, int) and field in shared) for field, named in found)

    def drafts_of(self, found: Iterable[Binding]) -> list[str]:
        """The agents of which bindings take the drafts, if there are any."""
        return [*dict.fromkeys(agent for _, agent, named in found if self.takes_draft(agent, named))]


def bindings(value: Any, field: str = "") -> Iterator[Binding]:
    """The agents that a value leads to, wherever they stand in it."""
    if isinstance(value, dict):
        found = cast("Json", value)
        if isinstance(agent := found.get("agent_id"), str):
            yield field, agent, found.get("agent_version")
        for name, item in found.items():
            yield from bindings(item, field or name)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            yield from bindings(item, field)
