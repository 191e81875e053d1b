"""Checks before a worker starts. Each problem is one log line."""

from __future__ import annotations

import os
import sys

import redis
import sqlalchemy as sa
import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from trackrelay.configuration.unknown_settings import unknown_settings
from trackrelay.queue.tls_errors import tls_hint
from trackrelay.worker.delivery.breaker import Breaker
from trackrelay.worker.delivery.sender import HALTS
from trackrelay.worker.delivery.workspace_guard import note_refusal
from trackrelay.worker.queue.queue_agreement import StoresDifferError, agree
from trackrelay.worker.queue.queue_config import QueueConfigError, check_queue
from trackrelay.worker.queue.redis_client import connect
from trackrelay.worker.resources import ask_region
from trackrelay.worker.settings import Settings, settings
from trackrelay.worker.storage import schema
from trackrelay.worker.storage.engine import make_engine
from trackrelay.worker.tasks import describe
from trackrelay.worker.track_api.credentials import Credentials
from trackrelay.worker.track_api.destination import note_account
from trackrelay.worker.track_api.http_client import TrackApi

log = structlog.get_logger("trackrelay.start")


def check() -> None:
    """Check settings, Postgres, Redis and the credentials.

    Raises:
        SystemExit: the database is not migrated, or the queue is set up differently.
    """
    configured = settings()
    for name, meant in unknown_settings(os.environ).items():
        log.warning("unknown_setting", name=name, did_you_mean=meant)
    fatal = _database(configured) + _queue(configured)
    for message in fatal:
        log.error("cannot_start", message=message)
    if fatal:
        sys.exit(1)
    _credentials(configured)


def _database(configured: Settings) -> list[str]:
    engine = make_engine(configured, pool_size=1)
    try:
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT 1"))
            problem = schema.problem(connection)
            return [problem] if problem else []
    except SQLAlchemyError as error:
        log.error("postgres_unreachable", error=describe(error))
        return []
    finally:
        engine.dispose()


def _queue(configured: Settings) -> list[str]:
    client = connect(configured)
    try:
        _agree(client, configured)
        check_queue(client, configured.shards)
        return []
    except QueueConfigError as problem:
        return [str(problem)]
    except (RedisError, OSError) as error:
        hint = tls_hint(str(error), configured.redis_url.get_secret_value())
        log.error("redis_unreachable", error=": ".join(filter(None, (describe(error), hint))))
        return []
    finally:
        client.close()


def _agree(client: redis.Redis, configured: Settings) -> None:
    engine = make_engine(configured, pool_size=1)
    try:
        agree(client, engine, configured.request_timeout.total_seconds())
    except StoresDifferError as differ:
        # Not fatal: the ticks check again, and delivery begins once the stores agree.
        log.error("delivery_stopped", message=str(differ))
    except SQLAlchemyError:
        return  # logged already
    finally:
        engine.dispose()


def _credentials(configured: Settings) -> None:
    api = TrackApi(
        configured.base_url, configured.request_timeout.total_seconds(), Credentials(configured)
    )
    verdict = ask_region(api, configured)
    api.close()
    if verdict.account and not verdict.problem:
        note_account(verdict.account)
        log.info(
            "credentials_accepted",
            region=verdict.account.region,
            workspace=verdict.account.environment_id,
        )
    elif verdict.problem == "unreachable":
        log.warning("track_api_unreachable", message=verdict.message)
    else:
        log.error("delivery_halted", message=verdict.message)
        client = connect(configured)
        try:
            if configured.environment_id:
                # Each process guards itself. Those with accepted credentials continue.
                note_refusal(client, verdict.message)
                return
            Breaker(client, probe_s=30).halt(HALTS[verdict.problem or "denied"], verdict.message)
        except (RedisError, OSError) as error:
            log.error("redis_unreachable", error=describe(error))
        finally:
            client.close()
