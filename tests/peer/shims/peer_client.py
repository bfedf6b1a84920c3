"""What `test_client.py` imports of the official client's private names, said in those of ours."""

from __future__ import annotations

from peer_names import *  # noqa: F403
