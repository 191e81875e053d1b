"""Sphinx's configuration: `make docs` builds the site from it."""

from __future__ import annotations

import logging
import sys
import tomllib
from pathlib import Path

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path[:0] = [str(DOCS / "_ext"), str(ROOT)]

import reference_pages  # noqa: E402

from trackrelay import __version__  # noqa: E402

# It announces each of its plugins.
logging.getLogger("alembic").setLevel(logging.WARNING)

with (ROOT / "pyproject.toml").open("rb") as file:
    _project = tomllib.load(file)["project"]
_repository = _project["urls"]["Source"]

project = "trackrelay"
author = "The trackrelay authors"
project_copyright = "The trackrelay authors"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
    "reference_pages",
]
exclude_patterns = ["_build", "reference/generated"]
suppress_warnings: list[str] = []

# -- Markdown

myst_enable_extensions = ["colon_fence", "deflist"]
# Headings down to this level can be linked to.
myst_heading_anchors = 3
# `[the example](source:examples/flask_app)` links to the repository; reference_pages checks the
# path.
myst_url_schemes = {
    "http": None,
    "https": None,
    "mailto": None,
    "source": {"url": f"{_repository}/blob/main/{{{{path}}}}"},
}

# -- The Python reference

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_mock_imports: list[str] = []
napoleon_numpy_docstring = False
python_display_short_literal_types = True
python_use_unqualified_type_names = True
maximum_signature_line_length = 80

# -- What it looks like

html_theme = "furo"
html_title = f"trackrelay {version}"
html_static_path = ["_static"]
html_css_files = ["trackrelay.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "source_repository": _repository,
    "source_branch": "main",
    "source_directory": "docs/",
    "top_of_page_buttons": ["view"],
    "light_css_variables": {"color-brand-primary": "#0b6e6e", "color-brand-content": "#0b6e6e"},
    "dark_css_variables": {"color-brand-primary": "#5fd0c5", "color-brand-content": "#5fd0c5"},
}
copybutton_exclude = ".linenos, .gp, .go"
reference_pages.REPOSITORY = ROOT
