"""Calls and chats, and all that is known of them, in a database of one's own. Needs the extra ``[archive]``."""

from .archive import Archive
from .inbox import Delivery
from .policy import Storage

__all__ = ["Archive", "Delivery", "Storage"]
