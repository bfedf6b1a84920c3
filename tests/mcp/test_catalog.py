"""The tools are those of the surface, with its annotations."""

from __future__ import annotations

import pytest

from codegen.document import load_file
from codegen.generate import ROOT
from retell_async.mcp.catalog import tools

from .workspace import workspace

pytestmark = pytest.mark.anyio

SURFACE = {said["tool"]: (key, said) for key, said in load_file(ROOT / "openapi" / "surface.yaml").items() if " " in key and "tool" in said}


def test_each_tool_of_the_surface_is_there_and_calls_its_method() -> None:
    assert {name: said["methods"][0] for name, (_, said) in SURFACE.items()} == {
        tool.name: tool.method for tool in tools().values() if tool.method is not None
    }


async def test_annotations_are_those_of_the_surface() -> None:
    async with workspace() as work, work.connect() as session:
        found = {tool.name: tool.annotations for tool in (await session.list_tools()).tools}
    for name, (key, said) in SURFACE.items():
        hints = found[name]
        assert hints is not None
        assert hints.read_only_hint == name.startswith(("get_", "list_"))
        assert hints.destructive_hint == name.startswith(("delete_", "update_"))
        assert hints.idempotent_hint == (said["repeat"] == "safe")
        assert hints.open_world_hint == said.get("open_world", False)
        assert key.startswith("DELETE") == name.startswith("delete_")


def test_a_deletion_asks_without_being_told_to() -> None:
    for name, (key, _) in SURFACE.items():
        if key.startswith("DELETE"):
            assert tools()[name].asks == {"": "deletion"}


def test_files_of_this_machine_are_no_arguments() -> None:
    """A model that may name files could send any of them away."""
    assert not any(argument.endswith("files") for tool in tools().values() for argument in tool.arguments)
