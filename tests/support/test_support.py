"""The tests' own checks catch what they are for."""

from pathlib import Path

import pytest
import requests

from tests.support import description_check, skips
from tests.support.canaries import CANARY_API_KEY, leaks
from tests.support.description_check import latest_violations, violations
from tests.support.waiting import wait_until
from trackrelay.sandbox import SandboxProcess

pytest_plugins = ["pytester"]


def test_a_secret_in_a_log_is_found_with_its_line(tmp_path: Path) -> None:
    clean, leaking = tmp_path / "clean.log", tmp_path / "leaking.log"
    clean.write_text("nothing\n")
    leaking.write_text(f"one\ntwo {CANARY_API_KEY[:-1]}\nthree '{CANARY_API_KEY}'\nand hunter2\n")

    found = leaks([clean, leaking, tmp_path / "never-written.log"], {"a password": "hunter2"})

    assert [str(leak) for leak in found] == [
        f"CANARY_API_KEY was logged: {leaking}, line 3",
        f"a password was logged: {leaking}, line 4",
    ]


def test_a_request_that_is_not_described_is_found() -> None:
    with SandboxProcess() as server:
        server.client._ask("GET", "summary")  # about the sandbox: not held against anything
        assert violations(server.client) == []
        _get(f"{server.url}/v1/customers?email=a@example.com")  # App API: not described
        _get(f"{server.url}/api/v1/accounts/region")
        assert violations(server.client) == []
        _get(f"{server.url}/api/v1/accounts/regoin")
        assert violations(server.client) == [
            "request 3, GET /api/v1/accounts/regoin: the path /api/v1/accounts/regoin is not "
            "described"
        ]


def test_a_long_run_is_checked_by_its_latest_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(description_check, "LATEST_REQUESTS", 2)
    with SandboxProcess() as server:
        assert latest_violations(server.client) == []
        _get(f"{server.url}/api/v1/accounts/one")
        _get(f"{server.url}/api/v1/accounts/two")
        _get(f"{server.url}/api/v1/accounts/region")
        assert latest_violations(server.client) == [
            "request 2, GET /api/v1/accounts/two: the path /api/v1/accounts/two is not described"
        ]


def _get(url: str) -> None:
    requests.get(url, timeout=5)


def test_waiting_gives_the_answer_and_says_what_it_waited_for_in_vain() -> None:
    answers = iter([None, 0, "yes"])
    assert wait_until(lambda: next(answers), 5) == "yes"

    def never() -> None:
        raise AssertionError("still 3 left")

    with pytest.raises(
        AssertionError, match=r"waited \S+ s for the queue to be empty; .*: still 3 left"
    ):
        wait_until(never, 0.02, "the queue to be empty")


def test_a_test_that_is_skipped_for_an_unknown_reason_fails_a_strict_run(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(
        """
        import pytest
        from tests.support import skips
        def pytest_sessionfinish(session):
            stats = session.config.pluginmanager.get_plugin("terminalreporter").stats
            for each in skips.unexpected(stats.get("skipped", ())):
                print("UNEXPECTED", each)
        """
    )
    pytester.makepyfile(
        f"""
        import pytest
        def test_one(): pytest.skip({skips.EXPECTED[1]!r})
        @pytest.mark.skip(reason={skips.EXPECTED[2]!r})
        def test_two(): pass
        def test_three(): pytest.skip("nobody knows why")
        """
    )
    lines = [
        line
        for line in pytester.runpytest("-o", "asyncio_default_fixture_loop_scope=function").outlines
        if "UNEXPECTED" in line
    ]
    assert len(lines) == 1
    assert "test_three: nobody knows why" in lines[0]
