"""The admin's forms: confirming, and repairing a document."""

from __future__ import annotations

import json
from typing import Any

from django import forms

from trackrelay.operations.json_values import NotJsonError, decode_json
from trackrelay.worker.cli.dead_letters.dead_letter_render import document_of
from trackrelay.worker.cli.dead_letters.editor import TEMPLATE
from trackrelay.worker.dead_letters.eligibility import Refused, Wanted
from trackrelay.worker.dead_letters.patch import Patch, changes
from trackrelay.worker.storage.dead_letter_queries import DeadLetter, State

from .actions import Operators
from .read_only_admin import is_id

#: What the command line calls what the forms have.
_WORDS = {
    "--even-if-newer replays it all the same": "“Even if something newer was delivered” replays it all the same",
    "supply its document with --edit": "repair it: write down its document",
    "--state discarded replays it": "it can be replayed all the same",
}


def in_the_admin(why: str) -> str:
    """A refusal, without the options of the command line in it."""
    for words, ours in _WORDS.items():
        why = why.replace(words, ours)
    return why


class _ActingForm(forms.Form):
    note = forms.CharField(
        required=False,
        max_length=500,
        help_text="Why: kept in each one's history.",
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )
    even_if_newer = forms.BooleanField(
        required=False,
        label="Even if something newer was delivered",
        help_text="A later job of the same person or object was delivered meanwhile: this one would undo it.",
    )

    def _even_if_newer(self) -> bool:
        return bool(self.cleaned_data.get("even_if_newer"))


class ConfirmForm(_ActingForm):
    """Which dead letters, and why."""

    ids = forms.CharField(widget=forms.HiddenInput)

    def clean_ids(self) -> list[str]:
        return [id for id in self.cleaned_data["ids"].split(",") if is_id(id)]

    def wanted(self, states: frozenset[State]) -> Wanted:
        """How they are to be replayed."""
        return Wanted(even_if_newer=self._even_if_newer(), states=states)


class RepairForm(_ActingForm):
    """A dead letter's document, to be changed.

    Args:
        letter: whose document it is.
        data: what was posted.
    """

    document = forms.CharField(
        widget=forms.Textarea(
            attrs={
                "rows": 22,
                "spellcheck": "false",
                "style": "width:100%;font-family:monospace;font-size:13px",
            }
        ),
        strip=False,
    )
    field_order = ("document", "note", "even_if_newer")

    def __init__(self, letter: DeadLetter, data: Any = None) -> None:
        self._before = document_of(letter)
        text = json.dumps(
            TEMPLATE if self._before is None else self._before, indent=2, ensure_ascii=False
        )
        super().__init__(data, initial={"document": text})
        self._letter = letter
        #: What the repair would change; known once it was checked.
        self.changes: list[dict[str, Any]] = []

    def clean_document(self) -> dict[str, Any]:
        try:
            document = decode_json(self.cleaned_data["document"])
        except NotJsonError as error:
            raise forms.ValidationError(f"This is not JSON: {error}") from None
        if not isinstance(document, dict):
            raise forms.ValidationError("The document must be a JSON object: {…}")
        if document == self._before:
            raise forms.ValidationError(
                "Nothing was changed. To send it as it is, replay it without a repair."
            )
        return document

    def check(self, operators: Operators) -> bool:
        """Whether it could be replayed like that; what is in the way becomes the form's errors."""
        if not self.is_valid():
            return False
        self.changes = list(changes(self._before or {}, self.cleaned_data["document"]))
        plan = operators.plan([self._letter.id], self.wanted(frozenset({"open", "discarded"})))
        for each in plan.refused:
            self.refuse(each)
        return not plan.refused

    def refuse(self, refused: Refused) -> None:
        """Say why it is not replayed, where it can be changed."""
        self.add_error(
            "document" if refused.kind in ("invalid", "repair", "keys") else None,
            in_the_admin(refused.why),
        )

    def wanted(self, states: frozenset[State]) -> Wanted:
        """How it is to be replayed."""
        repair = Patch(document=self.cleaned_data["document"])
        return Wanted(repair=repair, even_if_newer=self._even_if_newer(), states=states)
