"""A misspelt setting in the environment is reported at an application's first call."""

from __future__ import annotations

import warnings

import pytest

import trackrelay
from trackrelay.configuration import settings_loader
from trackrelay.outbox import Outbox


@pytest.fixture(autouse=True)
def _misspelt_name_and_service_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings_loader, "_warned_of", set())
    monkeypatch.setenv("TRACKRELAY_BACKEND", "memory")
    monkeypatch.setenv("TRACKRELAY_SUORCE", "shop")
    monkeypatch.setenv("TRACKRELAY_PORT_6379_TCP_ADDR", "10.0.0.1")
    trackrelay.configure()


def test_the_first_call_points_it_out_once_in_a_process() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trackrelay.track("42", "seen")
        trackrelay.track("42", "seen")
        trackrelay.configure(source="shop")
        trackrelay.track("42", "seen")

    assert [str(each.message) for each in caught] == [
        "trackrelay: TRACKRELAY_SUORCE is not a setting; did you mean TRACKRELAY_SOURCE?"
    ]


def test_an_outbox_without_a_queue_points_it_out_too() -> None:
    with pytest.warns(
        RuntimeWarning, match="TRACKRELAY_SUORCE is not a setting; did you mean TRACKRELAY_SOURCE"
    ):
        Outbox(None)  # type: ignore[arg-type]


def test_importing_and_configuring_say_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trackrelay.configure(source="shop")
