"""The sandbox itself, apart from HTTP: one workspace, its gate, its faults and its memory."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from .faults.fault_book import FaultBook, Traffic
from .gate import Credentials, RateLimit
from .options import SandboxOptions, random_failure, seconds
from .recording.counts import Counts
from .recording.effects import Effects
from .recording.request_log import Requests
from .track.endpoints import Told
from .track.refusal import Refused
from .workspace.effect_outcome import DUPLICATE
from .workspace.workspace import Workspace
from .workspace.workspace_settings import Settings
from .workspace.workspace_state import Arrival


class Sandbox:
    """Everything one running sandbox holds."""

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.effects = Effects(options.max_effects, options.max_body_mb * 1_000_000, options.bodies)
        self.requests = Requests(
            options.max_records, options.max_body_mb * 1_000_000, options.bodies
        )
        self.counts = Counts()
        self.faults = FaultBook(options.seed)
        self.rate_limit = RateLimit()
        self._start()

    def _start(self) -> None:
        options = self.options
        self.credentials = Credentials(options.site_id, options.api_key, options.app_api_key)
        self.settings = _settings(options)
        self.workspace = Workspace(self.settings)
        for failure in options.fail:
            self.faults.add(random_failure(failure, options.retry_after))

    def reset(self) -> None:
        """Be as just started: nobody known, nothing remembered, the settings, keys and faults of the start."""
        self.faults.delete_all()
        self.effects.log.clear()
        self.requests.log.clear()
        self.counts.clear()
        self._start()

    def change_settings(self, changes: Any) -> None:
        """Change some settings; `ValueError` says what is wrong with them, and then nothing changes."""
        if not isinstance(changes, dict):
            raise ValueError("settings are an object")
        try:
            changed = msgspec.convert(msgspec.to_builtins(self.settings) | changes, Settings)
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from None
        for name in changed.__struct_fields__:
            setattr(self.settings, name, getattr(changed, name))

    def carry_out(self, traffic: Traffic, told: Told, path: str) -> list[tuple[int, Refused]]:
        """Let the operations take effect in their order; returns those refused."""
        operations = self.faults.rejected(traffic, told.sources) if self.faults else told.operations
        refused: list[tuple[int, Refused]] = []
        sources = told.sources
        at = time.time()
        for index, operation in enumerate(operations):
            if isinstance(operation, Refused):
                refused.append((index, operation))
            else:
                outcome = self.workspace.apply(operation, Arrival(self.effects.log.next_seq, at))
                effect = self.effects.add(
                    operation, outcome, at, path, sources[index] if sources else None
                )
                self.counts.took(effect, outcome is DUPLICATE)
        self.counts.operations += len(operations)
        self.counts.rejected += len(refused)
        return refused


def _settings(options: SandboxOptions) -> Settings:
    return Settings(
        latency_s=seconds(options.latency),
        rate_limit=options.rate_limit,
        retry_after=options.retry_after,
        region=options.region,
        environment_id=options.environment_id,
        batch_operations=options.batch_operations,
        email_updates_with_id=options.email_updates_with_id,
        event_merging=options.event_merging,
    )
