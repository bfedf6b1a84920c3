"""Calls and chats, and all that is known of them, in a database of one's own. Needs the extra ``[archive]``."""

try:
    from .archive import Archive
    from .erasure import Erased
    from .inbox import Delivery
    from .policy import Storage
    from .queries.export import Format, Table
    from .queries.search import Found
    from .sync import Synced
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error.name} is missing: retell_async.archive needs `pip install 'retell-async[archive]'`", name=error.name
    ) from None

__all__ = ["Archive", "Delivery", "Erased", "Format", "Found", "Storage", "Synced", "Table"]
