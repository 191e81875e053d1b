"""The sandbox apart from HTTP: workspace, credentials, rate limit, faults and records."""

from __future__ import annotations

import base64
import binascii
import time
from collections import deque
from typing import Any

import msgspec

from .faults import FaultBook, Traffic
from .interventions import Intervention
from .losses import LossBook
from .options import SandboxOptions, parse_duration, parse_failure
from .parsed_operations import Arrival
from .rehearsal.journeys import Rehearsal
from .sandbox_clock import Clock, Span
from .track.endpoints import Parsed
from .track.track_messages import RefusalError
from .traffic_records import Counts, Effects, Requests
from .workspace.workspace_state import DUPLICATE, Settings, State


class Credentials:
    """The keys that are valid now."""

    def __init__(self, site_id: str, api_key: str, app_api_key: str) -> None:
        self.site_id = site_id
        self.api_key = api_key
        self.app_api_key = app_api_key

    def admit_track(self, authorization: bytes) -> bool:
        """Return whether a header has the site id and the Track API key, as Basic."""
        scheme, _, encoded = authorization.partition(b" ")
        if scheme.lower() != b"basic":
            return False
        try:
            given = base64.b64decode(encoded.strip(), validate=True)
        except binascii.Error:
            return False
        return given == f"{self.site_id}:{self.api_key}".encode()

    def admit_app(self, authorization: bytes) -> bool:
        """Return whether a header has the App API key, as Bearer."""
        scheme, _, token = authorization.partition(b" ")
        return scheme.lower() == b"bearer" and token.strip() == self.app_api_key.encode()


class RateLimit:
    """The maximum number of requests within any second."""

    def __init__(self) -> None:
        self._admitted: deque[float] = deque()

    def admit(self, limit: int | None) -> bool:
        """Return whether one more request is within the limit; refused requests do not count."""
        if limit is None:
            return True
        now = time.monotonic()
        while self._admitted and self._admitted[0] <= now - 1:
            self._admitted.popleft()
        if len(self._admitted) >= limit:
            return False
        self._admitted.append(now)
        return True


class Sandbox:
    """The state of one running sandbox."""

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        max_bytes = options.max_body_mb * 1_000_000
        self.effects = Effects(options.max_effects, max_bytes, options.bodies)
        self.requests = Requests(options.max_records, max_bytes, options.bodies)
        self.counts = Counts()
        self.faults = FaultBook(options.seed)
        self.losses = LossBook(options.seed)
        self.rate_limit = RateLimit()
        self.app_rate_limit = RateLimit()
        self._start()

    def _start(self) -> None:
        options = self.options
        self.credentials = Credentials(options.site_id, options.api_key, options.app_api_key)
        self.settings = Settings(
            latency_s=parse_duration(options.latency),
            rate_limit=options.rate_limit,
            retry_after=options.retry_after,
            region=options.region,
            environment_id=options.environment_id,
            batch_operations=options.batch_operations,
            email_updates_with_id=options.email_updates_with_id,
            event_merging=options.event_merging,
            app_rate_limit=options.app_rate_limit or None,
        )
        self.clock = Clock()
        self.state = State(self.settings, self.clock)
        #: None: no campaign is defined.
        self.rehearsal: Rehearsal | None = None
        for failure in options.fail:
            self.faults.add(parse_failure(failure, options.retry_after))

    def reset(self) -> None:
        """Forget everything and restore the settings, keys and faults of the start."""
        self.faults.delete_all()
        self.losses.delete_all()
        self.effects.log.clear()
        self.requests.log.clear()
        self.counts.clear()
        self._start()

    def change_settings(self, changes: Any) -> None:
        """Change some settings.

        Raises:
            ValueError: A change is not valid; then nothing changes.
        """
        if not isinstance(changes, dict):
            raise ValueError("settings are an object")
        try:
            changed = msgspec.convert(msgspec.to_builtins(self.settings) | changes, Settings)
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from None
        for name in changed.__struct_fields__:
            setattr(self.settings, name, getattr(changed, name))

    def apply(self, traffic: Traffic, parsed: Parsed, path: str) -> list[tuple[int, RefusalError]]:
        """Apply the operations of a request in order; return the refusals by index."""
        operations, sources = parsed
        if self.faults:
            operations = self.faults.with_rejections(traffic, sources)
        refusals: list[tuple[int, RefusalError]] = []
        at = self.clock.now()
        state, losses, rehearsal = self.state, self.losses, self.rehearsal
        for index, operation in enumerate(operations):
            if isinstance(operation, RefusalError):
                refusals.append((index, operation))
            else:
                if rehearsal is not None:
                    rehearsal.run(at)
                arrival = Arrival(self.effects.log.next_seq, at)
                outcome = (
                    losses.apply(state, operation, arrival)
                    if losses
                    else operation.apply(state, arrival)
                )
                if rehearsal is not None:
                    rehearsal.applied(operation, at)
                source = sources[index] if sources else None
                effect = self.effects.add(operation, outcome, at, path, source)
                self.counts.applied(effect, outcome is DUPLICATE)
        self.counts.operations += len(operations)
        self.counts.rejected += len(refusals)
        return refusals

    def intervene(self, intervention: Intervention) -> None:
        """Do what somebody else does in the workspace.

        Raises:
            ValueError: It is about somebody who does not exist.
        """
        at = self.clock.now()
        if self.rehearsal is not None:
            self.rehearsal.run(at)
        intervention.act(self.state, Arrival(self.effects.log.next_seq, at))

    def define_campaign(self, document: Any) -> None:
        """Define a campaign; see ``rehearsal.campaigns.NewCampaign``.

        Raises:
            ValueError: The document describes none.
        """
        rehearsal = self.rehearsal or Rehearsal(self.state)
        rehearsal.define(document)
        self.rehearsal = rehearsal

    def advance(self, span: Span) -> None:
        """Move the clock forward, and let happen what is due by then.

        Raises:
            ValueError: The span is not valid.
        """
        self.clock.advance(span)
        if self.rehearsal is not None:
            self.rehearsal.run(self.clock.now())
