"""Links from names as docstrings and annotations write them: `RetryPolicy`, `call.list`, without the module that has them."""

from __future__ import annotations

import builtins
import collections.abc
import typing
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.util.nodes import make_refnode

from .sources import PACKAGE, class_name

if TYPE_CHECKING:
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.domains.python import PythonDomain
    from sphinx.environment import BuildEnvironment

__all__ = ["ELSEWHERE", "resolve"]

ELSEWHERE = frozenset(
    {*dir(builtins), *dir(typing), *dir(collections.abc), "PathLike", "TracebackType", "timedelta", "AbstractAsyncContextManager"}
)
_PARAMETERS = frozenset({"T", "U", "P", "T_co", "ModelT", "EventT", "AgentT"})
_MODULES = (
    *("", "types.", "webhooks.", "llm.", "llm.messages.", "llm.protocol."),
    *("sandbox.", "sandbox.faults.", "sandbox.state.request_log.", "testing."),
)
_PACKAGES = frozenset(
    {"aiohttp", "collections", "contextlib", "datetime", "httpx", "httpx2", "ipaddress", "os", "starlette", "types", "typing"}
)
_ALIKE = frozenset({"httpx", "httpx2"})
"""Packages with classes of the same names, which are told apart by the package."""


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: nodes.TextElement) -> nodes.Node | None:
    """A link to what the name stands for; the text alone for what is documented elsewhere; ``None``, which is a warning, otherwise."""
    if node.get("refdomain") != "py":
        return None
    target: str = node["reftarget"]
    package = target.partition(".")[0]
    if package in _PACKAGES:
        return nodes.inline(target, target) if package in _ALIKE else shown
    domain = env.domains.python_domain
    found = _find(target, domain)
    if found is not None:
        kept = domain.objects[found]
        return make_refnode(app.builder, node["refdoc"], kept.docname, kept.node_id, shown, found)
    last = target.rpartition(".")[2]
    if node.get("reftype") == "obj" or last in ELSEWHERE or last in _PARAMETERS:
        return shown
    return None


def _find(target: str, domain: PythonDomain) -> str | None:
    objects: dict[str, Any] = domain.objects
    head, _, method = target.removeprefix("client.").rpartition(".")
    last = target.rpartition(".")[2]
    is_method = (PACKAGE / "resources" / f"{head}.py").exists()
    candidates = [f"retell_async.resources.{head}.{class_name(head)}.{method}"] if is_method else []
    if last[:1].isupper():
        candidates += [f"retell_async.{module}{last}" for module in _MODULES]
    return next((name for name in candidates if name in objects), None)
