"""Forms of the admin: to confirm an action, and to repair a document."""

from __future__ import annotations

import json
from typing import Any

from django import forms

from trackrelay.operations.json_values import NotJsonError, decode_json
from trackrelay.worker.cli.dead_letters.letter_replay import TEMPLATE
from trackrelay.worker.dead_letters.eligibility import RefusedReplay, ReplayPolicy, without_options
from trackrelay.worker.dead_letters.patch import Patch, changes
from trackrelay.worker.storage.dead_letter_queries import DeadLetter, State

from .actions import Actions
from .read_only_admin import is_id


class _ActingForm(forms.Form):
    note = forms.CharField(
        required=False,
        max_length=500,
        help_text="Why you do this; kept in the history of each dead letter.",
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )
    even_if_newer = forms.BooleanField(
        required=False,
        label="Even if something newer was delivered",
        help_text=(
            "A later job of the same person or object was delivered. This replay can undo it."
        ),
    )

    def _even_if_newer(self) -> bool:
        return bool(self.cleaned_data.get("even_if_newer"))


class ConfirmForm(_ActingForm):
    """Which dead letters to act on, and why."""

    ids = forms.CharField(widget=forms.HiddenInput)

    def clean_ids(self) -> list[str]:
        return [id for id in self.cleaned_data["ids"].split(",") if is_id(id)]

    def policy(self, states: frozenset[State]) -> ReplayPolicy:
        """Return how to replay them."""
        return ReplayPolicy(even_if_newer=self._even_if_newer(), states=states)


class RepairForm(_ActingForm):
    """The document of a dead letter, to be changed.

    Args:
        letter: the dead letter.
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
        self._before = letter.document
        text = json.dumps(
            TEMPLATE if self._before is None else self._before, indent=2, ensure_ascii=False
        )
        super().__init__(data, initial={"document": text})
        self._letter = letter
        #: What the repair would change; known after the check.
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
                "Nothing was changed. To send it unchanged, replay it without a repair."
            )
        return document

    def check(self, actions: Actions) -> bool:
        """Return whether it could be replayed; refusals become errors of the form."""
        if not self.is_valid():
            return False
        self.changes = list(changes(self._before or {}, self.cleaned_data["document"]))
        plan = actions.plan([self._letter.id], self.policy(frozenset({"open", "discarded"})))
        for each in plan.refused:
            self.refuse(each)
        return not plan.refused

    def refuse(self, refused: RefusedReplay) -> None:
        """Add a refusal as an error of the field that can be changed."""
        self.add_error(
            "document" if refused.kind in ("invalid", "repair", "keys") else None,
            without_options(refused.why),
        )

    def policy(self, states: frozenset[State]) -> ReplayPolicy:
        """Return how to replay it."""
        repair = Patch(document=self.cleaned_data["document"])
        return ReplayPolicy(repair=repair, even_if_newer=self._even_if_newer(), states=states)
