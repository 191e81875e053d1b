"""The templates of the console, and what they can use."""

from __future__ import annotations

import hashlib
import json
import re
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from trackrelay.configuration.console_values import Role
from trackrelay.version import __version__
from trackrelay.worker.cli.common import humanize
from trackrelay.worker.cli.common.output import moment
from trackrelay.worker.telemetry.visible_text import visible_lines

HERE = Path(__file__).parent
STATIC = HERE / "static"
_BACKTICKS = re.compile("`([^`]{1,100})`")


def make_environment() -> jinja2.Environment:
    """Return the environment of all pages."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
        auto_reload=False,
    )
    environment.filters |= {
        "ago": ago,
        "count": humanize.count,
        "duration": humanize.duration,
        "iso": moment,
        "json_text": json_text,
        "clock": humanize.clock,
        "code": code,
        "number": number,
        "share": humanize.share,
        "short": humanize.short,
        "size": humanize.size,
        "with_n": lambda heading: (heading, "n"),
        "words": words,
    }
    environment.globals |= {
        "now": time.time,
        "static": static_path,
        "version": __version__,
        "Role": Role,
    }
    return environment


def _shown(value: Any) -> Any:
    # Names and errors come from elsewhere: no invisible character may change what a reader sees.
    return visible_lines(value) if type(value) is str else value


def ago(unix_s: float | None, now: float | None = None) -> Markup:
    """Return a time as an element: how long ago, and the exact time for a pointer."""
    if unix_s is None:
        return Markup('<span class="dim">not known</span>')
    seconds = (time.time() if now is None else now) - unix_s
    text = humanize.ago(seconds) if seconds > -1 else f"in {humanize.duration(-seconds)}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        moment(unix_s), humanize.clock(_known(unix_s)), text
    )


def json_text(value: Any) -> str:
    """Return a value as a reader of JSON knows it."""
    return json.dumps(value, ensure_ascii=False, default=str)


def code(text: str) -> Markup:
    """Return a text as HTML in which what is between backticks is an element."""
    return Markup(_BACKTICKS.sub(r"<code>\1</code>", str(escape(visible_lines(text)))))


def number(value: float | None) -> str:
    """Return ``1,240``, or a dash for what is not known."""
    return "–" if value is None else f"{value:,}"


def words(value: object) -> str:
    """Return ``rate limited`` for ``rate_limited``."""
    return str(value).replace("_", " ")


def _known(unix_s: float) -> float:
    # A hostile entry may name a year that Python does not know.
    return min(max(unix_s, -62_135_596_800.0), 253_402_300_799.0)


@lru_cache(maxsize=100)
def static_path(name: str) -> str:
    """Return the path of a file, with a digest of its content: browsers may keep it for ever."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{digest}/{name}"
