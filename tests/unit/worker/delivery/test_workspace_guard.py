"""The guard of the workspace, without a server."""

import pytest

from trackrelay.worker.delivery.workspace_guard import (
    AGAIN_S,
    Pair,
    UnverifiedError,
    WorkspaceGuard,
    WrongWorkspaceError,
)
from trackrelay.worker.track_api.region import Verdict

RIGHT, OTHER = ("site", "right"), ("site", "other")


class Asked:
    """Replaces the region endpoint and a clock."""

    def __init__(self) -> None:
        self.pairs: list[Pair] = []
        self.verdicts = {
            RIGHT: Verdict(),
            OTHER: Verdict(problem="workspace", message="of workspace 999"),
        }
        self.now = 0.0

    def __call__(self, pair: Pair) -> Verdict:
        self.pairs.append(pair)
        return self.verdicts[pair]

    def clock(self) -> float:
        return self.now


def guard_of(current: list[Pair], asked: Asked, environment_id: str = "123") -> WorkspaceGuard:
    return WorkspaceGuard(lambda: current[0], environment_id, asked, asked.clock)


def test_each_pair_is_asked_about_once_before_it_passes() -> None:
    current, asked = [RIGHT], Asked()
    guard = guard_of(current, asked)
    assert [guard(), guard()] == [RIGHT, RIGHT]
    assert asked.pairs == [RIGHT]
    current[0] = OTHER
    with pytest.raises(WrongWorkspaceError, match="workspace 999"):
        guard()
    current[0] = RIGHT
    assert guard() == RIGHT
    assert asked.pairs == [RIGHT, OTHER]


def test_a_pair_of_which_nothing_is_known_yet_does_not_pass() -> None:
    current, asked = [RIGHT], Asked()
    asked.verdicts[RIGHT] = Verdict(problem="unreachable", message="cannot be reached")
    guard = guard_of(current, asked)
    with pytest.raises(UnverifiedError, match="cannot be reached"):
        guard()
    asked.verdicts[RIGHT] = Verdict()
    assert guard.refusal() is not None, "not asked again at once"
    asked.now += AGAIN_S + 1
    assert guard.refusal() is None
    assert guard() == RIGHT


def test_without_the_setting_nobody_is_asked() -> None:
    asked = Asked()
    assert guard_of([OTHER], asked, "")() == OTHER
    assert asked.pairs == []
