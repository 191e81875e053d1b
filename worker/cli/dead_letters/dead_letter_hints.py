"""What can be done about a dead letter. Pure."""

from __future__ import annotations

from trackrelay.worker.dead_letters.patch import PatchError, parse_path
from trackrelay.worker.storage.dead_letter_queries import DeadLetter


def hints(letter: DeadLetter) -> list[tuple[str, str]]:
    """What to do, and the command that does it (or nothing), the likeliest first."""
    match letter.state:
        case "delivered":
            return [("It was replayed and delivered: there is nothing left to do.", "")]
        case "replaying":
            return [
                (
                    "It is on its way again; what holds it up, if anything:",
                    f"trackrelay find {letter.id}",
                )
            ]
        case "discarded":
            return [
                (
                    "It was discarded. To replay it all the same:",
                    f"{_replay(letter)} --state discarded",
                )
            ]
    discard = (
        "Not worth it? Its row stays, marked:",
        f"trackrelay dead-letters discard --id {letter.id}",
    )
    return [*_of_reason(letter), discard]


def _of_reason(letter: DeadLetter) -> list[tuple[str, str]]:
    match letter.reason:
        case "rejected":
            edit = (
                "Change the document in your editor, and replay it:",
                f"{_replay(letter)} --edit",
            )
            again = (
                "If it was Customer.io's set-up that was wrong, and is not any more:",
                _replay(letter),
            )
            return [*_repair_field(letter), edit, again]
        case "invalid":
            edit = (
                "It was refused at the call. Change the document in your editor, and send it:",
                f"{_replay(letter)} --edit",
            )
            return [*_repair_field(letter), edit]
        case "exhausted":
            return [
                (
                    "Others were delivered while this one failed, every time. Something in it may be to blame:",
                    f"{_replay(letter)} --edit",
                ),
                ("Or try it once more as it is:", _replay(letter)),
            ]
        case "expired":
            return [
                (
                    "It waited for longer than TRACKRELAY_MAX_AGE. If it is still worth sending:",
                    _replay(letter),
                )
            ]
        case "crashed":
            return [
                (
                    "A worker died each time it had this in hand: look at the workers' logs and memory first. Then:",
                    _replay(letter),
                ),
            ]
        case "undecodable":
            return [
                (
                    "Somebody else wrote this into the queue, or it was damaged. Write down what was meant:",
                    f"{_replay(letter)} --edit",
                )
            ]
    return [("Replay it:", _replay(letter))]


def _repair_field(letter: DeadLetter) -> list[tuple[str, str]]:
    try:
        path = parse_path(letter.field or "")
    except PatchError:
        return []
    if path[0] in ("identifiers", "type", "action") and letter.reason != "invalid":
        return []
    change = (
        f"Put something else into {letter.field}, and replay it:",
        f"{_replay(letter)} --set {letter.field}=VALUE",
    )
    take_away = ("Or take it away:", f"{_replay(letter)} --unset {letter.field}")
    return [change, take_away] if path[0] == "attributes" and len(path) > 1 else [change]


def _replay(letter: DeadLetter) -> str:
    return f"trackrelay replay --id {letter.id}"
