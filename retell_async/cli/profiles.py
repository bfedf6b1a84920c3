"""Profiles: workspaces by name. Their keys are in the environment, and nowhere else."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import attrs

from .._client import AsyncRetell
from .._core.errors import ConfigurationError
from .._core.masking import Hidden

__all__ = ["DEFAULT", "SANDBOX", "Profile"]

DEFAULT = "default"
SANDBOX = "http://127.0.0.1:8888"

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@attrs.frozen
class Profile:
    """A workspace: its name, and what its client is made with."""

    name: str
    base_url: str | None
    _api_key: Hidden[str] = attrs.field(repr=False)
    _webhook_key: Hidden[str] | None = attrs.field(default=None, repr=False)

    @classmethod
    def named(cls, name: str | None, environment: Mapping[str, str] = os.environ) -> Profile:
        """The profile of this name: ``RETELL_API_KEY_STAGING`` and ``RETELL_BASE_URL_STAGING`` for ``staging``.

        Without a name, or as ``default``, it is that of ``RETELL_API_KEY`` and ``RETELL_BASE_URL``, whose address also holds for those that
        have none of their own.

        :raises ConfigurationError: the name cannot be one, or the environment has no key for it.
        """
        name = DEFAULT if name is None else name
        if not _NAME.fullmatch(name):
            raise ConfigurationError(f"a profile is named by letters, digits, - and _, beginning with a letter: not {name!r}")
        end = "" if name == DEFAULT else f"_{name.upper().replace('-', '_')}"
        key = environment.get(f"RETELL_API_KEY{end}", "").strip()
        if not key:
            raise ConfigurationError(f"the profile {name} has no API key: set RETELL_API_KEY{end}")
        address = environment.get(f"RETELL_BASE_URL{end}") or environment.get("RETELL_BASE_URL") or None
        webhook_key = environment.get(f"RETELL_WEBHOOK_KEY{end}", "").strip()
        return cls(name, address, Hidden(key), Hidden(webhook_key) if webhook_key else None)

    @classmethod
    def sandbox(cls) -> Profile:
        """What `retell-async sandbox` serves on this machine, unless it is told another port."""
        return cls("sandbox", SANDBOX, Hidden("key_sandbox"))

    def client(self, **options: Any) -> AsyncRetell:
        """A client of the workspace.

        :param options: what else `AsyncRetell` takes.
        """
        return AsyncRetell(self._api_key.value, base_url=self.base_url, **options)

    def sign(self, body: bytes) -> str:
        """The value of ``x-retell-signature`` for a body that is sent now, as Retell would sign it.

        By the key of ``RETELL_WEBHOOK_KEY``, or ``RETELL_WEBHOOK_KEY_STAGING``, if there is one; else by the API key.
        """
        from ..webhooks import sign

        return sign(body, (self._webhook_key or self._api_key).value)
