"""What this installation knows about a person: jobs under each name, and verdicts."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from trackrelay.app_api import Profile
from trackrelay.errors import InvalidOperationError
from trackrelay.operations.refs import Person
from trackrelay.worker.cli.common.command_errors import explain
from trackrelay.worker.cli.common.command_stores import Stores
from trackrelay.worker.cli.find.job_finder import JobFinder
from trackrelay.worker.cli.find.job_query import FoundJob, Query, group_by_job
from trackrelay.worker.storage import verdicts
from trackrelay.worker.storage.queries.job_search import Match, Place
from trackrelay.worker.storage.verdicts import Verdict

#: Jobs of each name that are compared with Customer.io.
MAX_JOBS = 200
#: Entries of the streams that are read for each name.
MAX_ENTRIES = 100_000
MAX_VERDICTS = 50


@dataclass(slots=True)
class OurSide:
    """What was found; a problem says what could not be looked at."""

    #: The latest enqueued first.
    jobs: list[FoundJob] = field(default_factory=list)
    #: How many there are in each place, those that were not loaded included.
    totals: dict[Place, int] = field(default_factory=dict)
    #: Open ones.
    verdicts: list[Verdict] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def keys_of(person: Person, profile: Profile | None) -> list[str]:
    """Return the keys that the person's jobs can have: of the given name and of the profile."""
    keys = [person.key]
    if profile is not None:
        names = {
            "id": profile.id,
            "email": profile.email,
            "phone": profile.attributes.get("phone"),
            "cio_id": profile.cio_id,
        }
        for kind, value in names.items():
            try:
                keys += [Person(**{kind: value}).key] if value else []
            except InvalidOperationError:
                continue  # no job can have it
    return list(dict.fromkeys(keys))


def read_ours(stores: Stores, keys: list[str]) -> OurSide:
    """Look for the jobs and the verdicts of some keys, in every place that answers."""
    side = OurSide()
    matches: dict[tuple[Place, str], Match] = {}
    for key in keys:
        finder = JobFinder(stores, Query(key, key=key))
        finder.run(MAX_ENTRIES, MAX_JOBS)
        before = len(matches)
        matches |= {(each.place, each.id): each for each in finder.matches}
        for place, number in finder.totals().items():
            # A job with two keys of the person is found twice.
            repeated = before + len(finder.matches) - len(matches)
            side.totals[place] = side.totals.get(place, 0) + max(0, number - repeated)
        side.problems += [each for each in finder.problems if each not in side.problems]
        side.remarks += [each for each in finder.remarks() if each not in side.remarks]
    side.jobs = group_by_job(matches.values())
    try:
        hasher = stores.hasher()
        with stores.engine.connect() as connection:
            side.verdicts = verdicts.select(
                connection, keys=[hasher.stored(key) for key in keys], limit=MAX_VERDICTS
            )
    except SQLAlchemyError as error:
        problem = explain(error) or str(error)
        side.problems += [] if problem in side.problems else [problem]
    return side
