"""Settings of the documentation site: https://www.sphinx-doc.org/en/master/usage/configuration.html"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from retell_async import __version__  # noqa: E402

project = "retell-async"
author = "the retell-async authors"
copyright = author
release = version = __version__

extensions = ["sphinx.ext.autodoc", "myst_parser", "docs.builder"]
exclude_patterns = ["builder", "_static"]
nitpicky = True
nitpick_ignore_regex = [
    ("py:class", r"(logging|mcp|opentelemetry|prometheus_client|sqlalchemy)\..*"),  # of others, whose documentation is elsewhere
    ("py:class", r"retell_async\.archive\.archive\.E\d"),  # variables of types
]
nitpick_ignore = [
    ("py:class", "AbstractContextManager"),
    ("py:class", "retell_async.webhooks.signature.HasItems"),  # what `Headers` stands for names it
    ("py:class", "retell_async._helpers.watch.Events"),  # a router is one
    ("py:class", "Events"),  # the same, where it is named for annotations alone
    ("py:class", "retell_async._call_slots.Slot"),  # what `CallSlots.hold` gives and says the use of
    ("py:class", "pathlib.Path"),
    ("py:class", "list_calls.Item"),  # the type of an item of `call.list`, as the code names it
]
highlight_language = "python"

myst_heading_anchors = 3
myst_enable_extensions = ["fieldlist"]

add_module_names = False
autodoc_class_signature = "mixed"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_type_aliases = {"Headers": "Headers", "Errors": "Errors"}
maximum_signature_line_length = 88
python_display_short_literal_types = True
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"retell-async {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_search_scorer = str(ROOT / "docs" / "builder" / "search.js")
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
