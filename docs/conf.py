"""Sphinx configuration: ``sphinx-build -W -n docs DIRECTORY``. Everything is built offline, and no notebook is run."""

from __future__ import annotations

import sys
from pathlib import Path

from jupyter_bgstream import __version__

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "jupyter_bgstream"
author = "The jupyter_bgstream developers"
copyright = author
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "generated_pages",
    "state_diagram",
]
exclude_patterns = ["build", "jupyter_execute"]  # myst-nb writes notebooks beside the build

smartquotes_action = "qe"  # not dashes: options begin with two
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]
nb_execution_mode = "off"  # tests/client/test_notebooks.py runs them
nb_execution_show_tb = True

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
# Types of annotations: those of other projects, whose sites a build offline cannot read, and internal ones.
nitpick_ignore_regex = [("py:.*", ".*")]

html_theme = "pydata_sphinx_theme"
html_title = f"jupyter_bgstream {__version__}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "show_prev_next": True,
    "navigation_with_keys": False,
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
}
html_sidebars = {"index": []}
