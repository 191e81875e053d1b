"""The scheduler behind beat."""

import pytest
from structlog.testing import capture_logs

from trackrelay.worker.beat import BoundedScheduler
from trackrelay.worker.celery import app


def test_a_beat_points_out_a_misspelt_setting(
    worker_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        worker_settings | {"TRACKRELAY_MAX_AEG": "1d", "TRACKRELAY_SERVICE_HOST": "10.0.0.1"}
    ).items():
        monkeypatch.setenv(name, value)

    with capture_logs() as logged:
        BoundedScheduler(app=app, lazy=True)

    assert [(each["event"], each.get("name"), each.get("did_you_mean")) for each in logged] == [
        ("unknown_setting", "TRACKRELAY_MAX_AEG", "TRACKRELAY_MAX_AGE")
    ]
