"""A real browser: headless Chromium, spoken to over the WebDriver protocol."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from trackrelay.worker.devstack.servers import ports

from .waiting import patient, wait_until

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--window-size=1280,900",
]


class Browser:
    """Started as a context manager.

    Raises:
        FileNotFoundError: chromium or chromedriver is missing; says what brings them.
    """

    def __enter__(self) -> Self:
        programs = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
        if missing := [name for name, path in programs.items() if path is None]:
            raise FileNotFoundError(
                f"{' and '.join(missing)} not found: on Debian, "
                "apt-get install chromium chromium-driver"
            )
        port = ports.free_port()
        self._driver = subprocess.Popen(
            [str(programs["chromedriver"]), f"--port={port}"], stdout=subprocess.DEVNULL
        )
        self._url = f"http://127.0.0.1:{port}"
        wait_until(self._is_ready, 30, "chromedriver")
        options = {"args": _ARGUMENTS, "binary": programs["chromium"]}
        capabilities = {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}
        made = self._ask("POST", "/session", {"capabilities": capabilities})
        self._url += f"/session/{made['sessionId']}"
        # An element may be on a page that is still on its way.
        timeouts = {"implicit": int(patient(10) * 1000), "script": int(patient(30) * 1000)}
        self._ask("POST", "/timeouts", timeouts)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._ask("DELETE", "")
        finally:
            self._driver.terminate()
            self._driver.wait(patient(20))

    def _is_ready(self) -> bool:
        try:
            return bool(self._ask("GET", "/status")["ready"])
        except requests.ConnectionError:
            return False

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = requests.request(
            method,
            self._url + path,
            json={} if method == "POST" and body is None else body,
            timeout=patient(60),
        )
        value = answer.json()["value"]
        assert answer.ok, f"{method} {path}: {value.get('message')}"
        return value

    def open(self, url: str) -> None:
        """Go there."""
        self._ask("POST", "/url", {"url": url})

    @property
    def text(self) -> str:
        """What a person reads on the page."""
        return str(self.run("return document.body.innerText"))

    def wait_for(self, text: str) -> None:
        """Wait until a person reads this on the page: one that was asked for may be on its way."""
        wait_until(
            lambda: text in self.text,
            what=lambda: f"{text!r} on the page, which reads:\n{self.text}",
        )

    @property
    def url(self) -> str:
        """Where the browser is."""
        return str(self._ask("GET", "/url"))

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def run_async(self, script: str, *arguments: Any) -> Any:
        """Run a script that calls its last argument with its result."""
        return self._ask("POST", "/execute/async", {"script": script, "args": list(arguments)})

    def _find(self, css: str) -> str:
        return str(self._ask("POST", "/element", {"using": "css selector", "value": css})[_ELEMENT])

    def click(self, css: str) -> None:
        """Click the first element that matches."""
        self._ask("POST", f"/element/{self._find(css)}/click")

    def follow(self, text: str) -> None:
        """Click the link that reads ``text``."""
        found = self._ask("POST", "/element", {"using": "link text", "value": text})
        self._ask("POST", f"/element/{found[_ELEMENT]}/click")

    def type(self, css: str, text: str) -> None:
        """Replace the text of a field."""
        element = self._find(css)
        self._ask("POST", f"/element/{element}/clear")
        self._ask("POST", f"/element/{element}/value", {"text": text})

    def devtools(self, command: str, **parameters: Any) -> Any:
        """Give a command of the DevTools protocol."""
        body = {"cmd": command, "params": parameters}
        return self._ask("POST", "/goog/cdp/execute", body)

    def look_like(self, width: int, scheme: str = "light") -> None:
        """Have a window of a width, and prefer a colour scheme, until this is called again."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=800,
            deviceScaleFactor=1,
            mobile=False,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.devtools("Emulation.setEmulatedMedia", features=features)

    def picture(self, max_height: int = 3_000) -> bytes:
        """Return the page from its top on as a PNG, at the width that it has."""
        width, height = self.run(
            "return [window.innerWidth, document.documentElement.scrollHeight]"
        )
        clip = {"x": 0, "y": 0, "width": width, "height": min(height, max_height), "scale": 1}
        taken = self.devtools("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        return base64.b64decode(taken["data"])

    def screenshot(self, file: Path) -> None:
        """The whole page, as it is seen."""
        height = self.run("return Math.max(document.documentElement.scrollHeight, 600)")
        self._ask("POST", "/window/rect", {"width": 1280, "height": min(int(height) + 150, 3000)})
        file.write_bytes(base64.b64decode(self._ask("GET", "/screenshot")))
