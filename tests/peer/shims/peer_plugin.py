"""Puts the shims where the official tests, once renamed, import private names of this package from."""

from __future__ import annotations

import os
import sys
from importlib import import_module

if os.environ["PEER_PACKAGE"] == "retell_async":
    shim = import_module(os.environ["PEER_SHIM"])
    for name in ("_base_client", "_compat", "_exceptions", "_models", "_types", "_utils"):
        sys.modules[f"retell_async.{name}"] = shim
