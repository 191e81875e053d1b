"""Traffic without losses gives no findings while it is verified."""

from collections.abc import Callable

from tests.support.clean_traffic import run
from tests.support.verification_harness import Verifying


def test_there_is_no_false_alarm_beside_live_traffic(
    make_verifying: Callable[..., Verifying],
) -> None:
    verifying = make_verifying(TRACKRELAY_VERIFY_AFTER="1s")
    result = run(verifying, 2_000)
    assert result["false alarms"] == []
    assert result["unknown"] == []
    assert result["delivered"] == result["jobs"]
    assert result["verified items"] > 2_000
