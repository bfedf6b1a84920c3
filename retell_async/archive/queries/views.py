from __future__ import annotations


async def refresh(connection): ...
