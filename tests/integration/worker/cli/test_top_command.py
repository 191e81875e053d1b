"""``trackrelay top`` in a terminal, on real servers."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.chaos.proxy import Proxy
from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from tests.support.terminal_session import TerminalSession
from tests.support.waiting import wait_until

ARGUMENTS = ["top", "--interval", "0.2"]
REDIS, POSTGRES = "TRACKRELAY_REDIS_URL", "TRACKRELAY_DATABASE_URL"


@pytest.fixture
def proxies(run: CommandLine) -> Iterator[dict[str, Proxy]]:
    """What stands between the screen and its stores. Changes the settings of ``run``."""
    found: dict[str, Proxy] = {}
    for name in (REDIS, POSTGRES):
        url = run.settings[name]
        port = urlsplit(url).port
        assert port is not None
        found[name] = Proxy(port).start()
        run.settings[name] = url.replace(f":{port}", f":{found[name].port}")
    yield found
    for proxy in found.values():
        proxy.close()


def test_somebody_watches_delivery_and_each_store_goes_away_and_comes_back(
    working_harness: Harness, run: CommandLine, proxies: dict[str, Proxy]
) -> None:
    with TerminalSession(ARGUMENTS, run.settings) as terminal:
        terminal.wait_for("1 running")
        jobs = [working_harness.producer.track(str(person), "greeted") for person in range(20)]
        working_harness.wait_delivered(jobs)
        terminal.wait_for("Delivering: 20 jobs in the last minute. No job waits.")
        # By the counters, beside the verdict's own count.
        wait_until(lambda: " 20 20 " in terminal.screen.partition("delivered")[2][:40], 15)

        terminal.press("?")
        terminal.wait_for("the call to Customer.io's answer")
        terminal.press("?s")
        terminal.wait_for("s by jobs")
        terminal.press("p")
        terminal.wait_for("screen paused, delivery is not")
        terminal.press("p")
        terminal.wait_for(", every 0.2 s")

        for name, store in ((REDIS, "Redis"), (POSTGRES, "Postgres")):
            proxies[name].refusing = True
            proxies[name].cut()
            terminal.wait_for(f"Nothing is delivered: {store} must be repaired first.")
            proxies[name].go_on()
            terminal.wait_for("No job waits.")

        terminal.press("\x1b[Axq")
        assert terminal.wait_end() == 0
        assert terminal.is_as_before
        assert "Traceback" not in terminal.written


def test_ctrl_c_and_a_supervisor_leave_the_terminal_as_it_was(
    harness: Harness, run: CommandLine
) -> None:
    away = run.settings | {REDIS: "redis://127.0.0.1:1/0", POSTGRES: "postgresql://127.0.0.1:1/x"}
    with TerminalSession(ARGUMENTS, away, (24, 80)) as terminal:
        terminal.wait_for("Nothing is delivered: Redis and Postgres must be repaired first.")
        terminal.press("\x1a\x03")
        assert terminal.wait_end() == 0
        assert terminal.is_as_before
    with TerminalSession(ARGUMENTS, {**run.settings, "NO_COLOR": "1"}, (24, 80)) as terminal:
        terminal.wait_for("no worker runs")
        # All sections fit into the window.
        terminal.wait_for("Findings none")
        terminal.terminate()
        assert terminal.wait_end() == 0
        assert terminal.is_as_before
        assert "\x1b[31m" not in terminal.written


def test_without_a_terminal_it_prints_one_frame_if_asked(
    harness: Harness, run: CommandLine
) -> None:
    harness.producer.track("42", "greeted")
    frame = run("top", "--once")
    assert frame.code == 0
    assert frame.out.startswith("● Nothing is delivered: no worker runs. 1 job waits")
    assert "q quit" not in frame.out
    assert run("top").only_line() == (
        "top needs a terminal: `trackrelay top --once` prints one frame"
    )
    assert "cannot draw" in run.terminal("top", TERM="dumb")
    missing = run("top", "--once", TRACKRELAY_DATABASE_URL="nonsense")
    assert missing.code == 1
