"""Take pictures of the console: ``python -m tests.support.screenshots FOLDER``.

It runs the whole stack with plausible data, opens every page at three widths, light and dark, and
writes a PNG of each. ``--docs`` writes the few that the guides show into the documentation.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from tests.support.browser import Browser
from tests.support.harness import Harness
from tests.support.picture_data import DataSeed, Pictured
from tests.support.waiting import wait_until
from tests.support.worker_process import ROOT
from trackrelay.worker.console.passwords import hash_password
from trackrelay.worker.devstack.demo.demo_run import LogFiles
from trackrelay.worker.devstack.stack import Stack

WIDTHS, SCHEMES = (1280, 768, 375), ("light", "dark")
#: Where the guides have their pictures, and what is written on the pages.
DOCS = ROOT / "docs" / "_static" / "console"
WORDS = DOCS / "words.json"
#: Of a picture in a guide.
MAX_BYTES, MAX_HEIGHT = 80_000, 900
#: Of the user of the pictures.
PASSWORD = "correct horse battery staple"


@dataclass(frozen=True, slots=True)
class Shot:
    """A page. Its path can name what the data has; see ``Pictured``."""

    name: str
    path: str
    #: What a person reads when it is there.
    expects: str
    #: A password with which somebody tries to sign in there.
    password: str = ""


SHOTS = (
    Shot("sign-in", "/sign-in", "Password"),
    Shot("sign-in-refused", "/sign-in", "or the password is wrong", password="a guess"),
    Shot("overview", "/", "What to do"),
    Shot("jobs", "/jobs", "an idempotency key"),
    Shot("job", "/jobs/{delivered}", "What happened"),
    Shot("job-content", "/jobs/{letter}?content=1", "What happened"),
    Shot("person", "/person?who={person}", "Where the two disagree"),
    Shot("dead-letters", "/dead-letters", "value is not one of"),
    Shot("dead-letter", "/dead-letters/{letter}", "What to do"),
    Shot("repair", "/dead-letters/{letter}/repair", "Document"),
    Shot("replay", "/dead-letters/ask?what=replay&error=silver", "would be"),
    Shot("backlog", "/backlog", "jobs"),
    Shot("quality", "/quality", "one attribute, several types"),
    Shot("verification", "/verification", "missing"),
    Shot("catalog", "/catalog", "observed"),
    Shot("catalog-name", "/catalog?name={event}", "observed since"),
    Shot("plan", "/plan", "Example shop"),
    Shot("activity", "/activity", "paused"),
    Shot("not-found", "/nothing", "There is no"),
)


@dataclass(frozen=True, slots=True)
class GuidePicture:
    """A picture that a guide shows."""

    file: str
    shot: str
    width: int = 1280
    scheme: str = "light"


GUIDE_PICTURES = (
    GuidePicture("overview.png", "overview"),
    GuidePicture("overview-phone.png", "overview", 375, "dark"),
    GuidePicture("job.png", "job-content"),
    GuidePicture("dead-letters.png", "dead-letters"),
    GuidePicture("repair.png", "repair"),
    GuidePicture("quality.png", "quality"),
    GuidePicture("plan.png", "plan"),
)


class Photographer:
    """Opens pages of a console and takes pictures of them.

    Args:
        browser: what opens them.
        url: of the console.
        pictured: what the data has.
    """

    def __init__(self, browser: Browser, url: str, pictured: Pictured) -> None:
        self._browser = browser
        self._url = url
        names = {"delivered", "letter", "person", "event"}
        self._values = {name: quote(str(getattr(pictured, name)), safe="") for name in names}

    def open(self, shot: Shot, width: int = 1280, scheme: str = "light") -> None:
        """Open a page, and wait until it is drawn."""
        self._browser.look_like(width, scheme)
        self._browser.open(self._url + shot.path.format(**self._values))
        if shot.password:
            self._send_password(shot.password)
        self._browser.wait_for(shot.expects)
        wait_until(
            lambda: self._browser.run(
                "return document.readyState === 'complete' && document.querySelectorAll('.chart')"
                ".length === document.querySelectorAll('.uplot').length"
            ),
            what=f"the charts of {shot.name}",
        )

    def sign_in(self) -> None:
        """Have a session from now on."""
        self._browser.open(f"{self._url}/sign-in")
        self._send_password(PASSWORD)
        self._browser.wait_for("Sign out")

    def _send_password(self, password: str) -> None:
        self._browser.type("#name", "ada")
        self._browser.type("#password", password)
        self._browser.click(".sign-in button")

    def words(self) -> list[str]:
        """Return the headings and labels of the page that is open, without numbers and remarks."""
        found: list[str] = self._browser.run(
            "return [...document.querySelectorAll('main h2, main label, main dt, main .label')]"
            ".filter((each) => !each.closest('.finding')).map((each) => {"
            "  const bare = each.cloneNode(true);"
            "  bare.querySelectorAll('small, select').forEach((part) => part.remove());"
            "  return bare.textContent;"
            "})"
        )
        return sorted({" ".join(re.sub(r"\d[\d.,:]*", "0", each).split()) for each in found} - {""})

    def guide_picture(self, wanted: GuidePicture) -> tuple[bytes, list[str]]:
        """Return a picture for a guide, and what is written on its page."""
        self.open(shot_of(wanted), wanted.width, wanted.scheme)
        return small_png(self._browser.picture(MAX_HEIGHT)), self.words()


def shot_of(wanted: GuidePicture) -> Shot:
    """Return the page of a picture."""
    return next(each for each in SHOTS if each.name == wanted.shot)


def small_png(png: bytes) -> bytes:
    """Return the same picture with few colours, which are enough for text and lines."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    written = io.BytesIO()
    image.quantize(96, dither=Image.Dither.NONE).save(written, "PNG", optimize=True)
    return written.getvalue()


def take_all(photographer: Photographer, browser: Browser, folder: Path) -> Iterator[Path]:
    """Take every page at every width, light and dark; yield each file."""
    for shot in SHOTS:
        for width in WIDTHS:
            for scheme in SCHEMES:
                photographer.open(shot, width, scheme)
                file = folder / f"{shot.name}-{width}-{scheme}.png"
                file.write_bytes(small_png(browser.picture()))
                yield file


def take_for_guides(photographer: Photographer, folder: Path = DOCS) -> None:
    """Take the pictures of the guides, and write down what is written on their pages."""
    words = {}
    for wanted in GUIDE_PICTURES:
        png, words[wanted.file] = photographer.guide_picture(wanted)
        (folder / wanted.file).write_bytes(png)
    (folder / WORDS.name).write_text(json.dumps(words, indent=2, ensure_ascii=False) + "\n")


def main() -> None:
    """Run the stack, and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="where the pictures are written")
    parser.add_argument("--docs", action="store_true", help="write those of the guides instead")
    arguments = parser.parse_args()
    if arguments.docs == bool(arguments.folder):
        parser.error("give a folder, or --docs")
    folder: Path = DOCS if arguments.docs else arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    users = f"ada:view_payloads+operate:{hash_password(PASSWORD)}"
    settings = {"TRACKRELAY_CONSOLE_USERS": users}
    with (
        tempfile.TemporaryDirectory() as logs,
        Stack(None, LogFiles(Path(logs)), settings=settings, report=print) as stack,
    ):
        harness = Harness(stack.settings, stack.sandbox.client)
        pictured = DataSeed(harness).fill()
        harness.close()
        url = stack.start_console().partition("/sign-in")[0]
        with Browser() as browser:
            photographer = Photographer(browser, url, pictured)
            photographer.sign_in()
            if arguments.docs:
                take_for_guides(photographer)
                return
            for file in take_all(photographer, browser, folder):
                print(f"{file} {file.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
