"""Calls and chats, and all that is known of them, in a database of one's own. Needs the extra ``[archive]``."""

from .archive import Archive
from .erasure import Erased
from .inbox import Delivery
from .policy import Storage
from .queries.export import Format, Table
from .queries.search import Found
from .sync import Synced

__all__ = ["Archive", "Delivery", "Erased", "Format", "Found", "Storage", "Synced", "Table"]
