# SPDX-License-Identifier: Apache-2.0
"""The manual's Sphinx configuration: `make docs` builds docs/_build/index.html, offline and with warnings as errors."""

import re
from pathlib import Path

project = "safe_transfer_ros"
author = "safe_transfer_ros authors"
copyright = f"{author}, Apache-2.0"  # noqa: A001
release = re.search(r'__version__ = "(.*)"', (Path(__file__).parents[1] / project / "__init__.py").read_text())[1]
version = release

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
myst_heading_anchors = 4  # [text](page.md#a-heading), as GitHub has it
myst_enable_extensions = ["colon_fence"]

add_module_names = False
autodoc_typehints = "none"  # the docstrings say types with their units and shapes
autodoc_member_order = "bysource"

highlight_language = "none"  # a block without a language is a drawing or a shell's

html_theme = "sphinx_rtd_theme"
html_theme_options = {"navigation_depth": 3, "collapse_navigation": True}
html_title = f"{project} {release}"
html_static_path = ["_static"]
html_css_files = ["manual.css"]
html_copy_source = False
html_show_sphinx = False

default_role = "code"  # docstrings write `names` as Markdown does


def plain_bars(app, what, name, obj, options, lines):  # noqa: ARG001
    """Keep |x| of a docstring from being a substitution."""
    lines[:] = [line.replace("|", r"\|") for line in lines]


def setup(app):
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", plain_bars)
