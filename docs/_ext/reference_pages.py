"""Write the generated parts of the reference, and check what Sphinx does not check.

Each part is a Markdown file in `reference/generated/`, which a page of the reference includes. The
facts come from the code: names, types and defaults from the modules, explanations from the comments
beside them.
"""

from __future__ import annotations

import re
from pathlib import Path

import code_facts
import object_facts
from sphinx.application import Sphinx
from sphinx.util import logging

log = logging.getLogger(__name__)
ROOT = Path(__file__).parents[2]
GENERATED = ROOT / "docs" / "reference" / "generated"

PARTS = {
    "command-line": object_facts.command_line,
    "database-tables": object_facts.database_tables,
    "python-api": object_facts.python_api,
    "metrics": object_facts.metrics,
    "redis-keys": object_facts.redis_keys,
    "settings": object_facts.settings,
    "django-checks": code_facts.django_checks,
    "log-events": code_facts.log_events,
}


def write_parts(app: Sphinx) -> None:
    """Write each part, and leave a file alone that says the same already."""
    GENERATED.mkdir(exist_ok=True)
    for name, render in PARTS.items():
        text, problems = render()
        for problem in problems:
            log.warning("the reference of %s: %s", name, problem)
        path = GENERATED / f"{name}.md"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def check_source_links(app: Sphinx, docname: str, source: list[str]) -> None:
    """Warn about a link into the repository that leads nowhere."""
    for path in re.findall(r"\]\(source:([^)#]+)", source[0]):
        if not (ROOT / path).exists():
            log.warning("there is no %s in the repository", path, location=docname)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the functions above to Sphinx."""
    app.connect("builder-inited", write_parts)
    app.connect("source-read", check_source_links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
