"""The code in the documentation, for tests that run it."""

from __future__ import annotations

import re

from tests.support.worker_process import ROOT


def code_blocks(page: str, language: str = "python") -> list[str]:
    """The blocks of code in ``docs/<page>``, in order."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
