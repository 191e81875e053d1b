"""Checks of replicas: what a failover of Redis or Postgres can lose as things stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import redis
from redis.exceptions import RedisError

from trackrelay.configuration.server_urls import is_sentinel, sentinel_address
from trackrelay.queue.sentinel import sentinel_options
from trackrelay.queue.tls_errors import tls_hint
from trackrelay.worker.cli.common.humanize import count
from trackrelay.worker.settings import Settings
from trackrelay.worker.storage.queries.server_facts import Standbys

from .findings import Finding

REDIS = "Redis"
POSTGRES = "Postgres"
#: How long to wait for one Sentinel.
TIMEOUT_S = 2.0
#: Seconds without a sign of a replica from which its delay is worth a warning.
LATE_S = 10

_APPENDFSYNC = {
    "always": "a crash loses nothing",
    "everysec": "a crash of the machine loses about the last second",
    "no": "a crash of the machine loses what the system has not written yet, up to half a minute",
}


def redis_config(client: redis.Redis) -> dict[str, str]:
    """Return the settings of Redis that matter here; managed services may hide them."""
    found: dict[str, str] = {}
    for name in ("appendfsync", "min-replicas-to-write", "min-replicas-max-lag"):
        try:
            answer: Any = client.config_get(name)
        except RedisError:
            return {}
        found |= {str(key): str(value) for key, value in answer.items()}
    return found


def appendfsync(config: Mapping[str, str]) -> str:
    """Return what a crash loses with the append-only file."""
    policy = config.get("appendfsync", "")
    if policy not in _APPENDFSYNC:
        return (
            "append-only file on: a crash loses what appendfsync allows (everysec: the last second)"
        )
    return f"append-only file on, appendfsync {policy}: {_APPENDFSYNC[policy]}"


def replication(
    info: Mapping[str, Any], config: Mapping[str, str], wait_replicas: int, *, by_sentinel: bool
) -> Finding | None:
    """Return a finding about the replicas of a primary; None: it has none, and needs none."""
    replicas = [
        each
        for number in range(int(info.get("connected_slaves", 0)))
        if isinstance(each := info.get(f"slave{number}"), dict) and each.get("state") == "online"
    ]
    if wait_replicas > len(replicas):
        text = (
            f"TRACKRELAY_REDIS_WAIT_REPLICAS is {wait_replicas}, and "
            f"{count(len(replicas), 'replica')} {'is' if len(replicas) == 1 else 'are'} connected: "
            "every call raises QueueUnavailableError"
        )
        return Finding(REDIS, "replication", "wrong", text)
    if not replicas:
        text = "no replica is connected: the Sentinels have nothing to fail over to"
        return Finding(REDIS, "replication", "warning", text) if by_sentinel else None
    behind = _behind(info, replicas)
    if wait_replicas:
        others = (
            f". With {len(replicas)} replicas, another one may take over: "
            f"TRACKRELAY_REDIS_WAIT_REPLICAS={len(replicas)} covers each"
            if len(replicas) > wait_replicas
            else ""
        )
        text = f"{behind}: each call waits for {count(wait_replicas, 'replica')}{others}"
        return Finding(REDIS, "replication", "ok", text)
    loses = "a failover loses the jobs that no replica has received yet"
    least = int(config.get("min-replicas-to-write", 0) or 0)
    if least:
        lag = config.get("min-replicas-max-lag", "10")
        text = (
            f"{behind}: {loses}, at most of the last {lag} s (min-replicas-to-write {least}). "
            "TRACKRELAY_REDIS_WAIT_REPLICAS=1 makes each call wait for a replica"
        )
        return Finding(REDIS, "replication", "ok", text)
    text = (
        f"{behind}: {loses}, and a primary that is cut off from its replicas still accepts "
        "jobs. Set min-replicas-to-write 1, or TRACKRELAY_REDIS_WAIT_REPLICAS=1"
    )
    return Finding(REDIS, "replication", "warning", text)


def _behind(info: Mapping[str, Any], replicas: list[dict[str, Any]]) -> str:
    written = int(info.get("master_repl_offset", 0))
    missing = max(written - int(each.get("offset", written)) for each in replicas)
    lag = max(int(each.get("lag", 0)) for each in replicas)
    late = f", silent for {lag} s" if lag >= LATE_S else ""
    return f"{count(len(replicas), 'replica')}, {max(0, missing):,} bytes behind{late}"


@dataclass(frozen=True, slots=True)
class SentinelView:
    """What one Sentinel reports; ``error`` if it does not."""

    place: str
    primary: str = ""
    quorum: int = 0
    others: int = 0
    error: str = ""


def sentinel_findings(settings: Settings) -> Iterator[Finding]:
    """Yield findings about the Sentinels, if the settings name any."""
    url = settings.redis_url.get_secret_value()
    if not is_sentinel(url):
        return
    address = sentinel_address(url)
    options = sentinel_options(address, TIMEOUT_S)
    views = [_view(host, port, address.service, options) for host, port in address.sentinels]
    hinted = (view.error and tls_hint(view.error, url) for view in views)
    views = [
        replace(view, error=f"{view.error}: {hint}") if hint else view
        for view, hint in zip(views, hinted, strict=True)
    ]
    yield sentinels(views)


def sentinels(views: list[SentinelView]) -> Finding:
    """Return a finding about what the Sentinels report."""
    answering = [view for view in views if not view.error]
    failed = "; ".join(f"{view.place}: {view.error}" for view in views if view.error)
    if not answering:
        return Finding(REDIS, "Sentinels", "wrong", f"none of them can be used: {failed}")
    known = max(view.others for view in answering) + 1
    quorum = max(view.quorum for view in answering)
    about = f"{len(answering)} of {len(views)} answer, quorum {quorum}"
    if len({view.primary for view in answering}) > 1:
        named = ", ".join(f"{view.place} names {view.primary}" for view in answering)
        return Finding(REDIS, "Sentinels", "wrong", f"they disagree about the primary: {named}")
    if failed:
        return Finding(REDIS, "Sentinels", "warning", f"{about}; {failed}")
    if known < max(3, quorum):
        text = (
            f"{about}, and they know of {known} in all: losing one machine can leave no majority. "
            "Run three or more, on different machines"
        )
        return Finding(REDIS, "Sentinels", "warning", text)
    return Finding(REDIS, "Sentinels", "ok", f"{about}; the primary is {answering[0].primary}")


def _view(host: str, port: int, service: str, options: dict[str, Any]) -> SentinelView:
    place = f"{host}:{port}"
    try:
        with redis.Redis(host=host, port=port, **options) as client:
            state: Any = client.sentinel_master(service)
    except (RedisError, OSError) as error:
        return SentinelView(place, error=str(error)[:200] or type(error).__name__)
    return SentinelView(
        place,
        primary=f"{state.get('ip')}:{state.get('port')}",
        quorum=int(state.get("quorum", 0)),
        others=int(state.get("num-other-sentinels", 0)),
    )


def postgres_replication(standbys: Standbys) -> Finding | None:
    """Return a finding about the standbys of Postgres; None: it has none."""
    if not standbys.connected:
        return None
    about = count(standbys.connected, "standby", "standbys")
    if standbys.synchronous and standbys.commits_wait:
        text = f"{about}, and commits wait for a synchronous one: a failover to it loses nothing"
        return Finding(POSTGRES, "replication", "ok", text)
    text = (
        f"{about}, none synchronous: a failover loses the latest commits, and with them jobs that "
        "were in the backlog or dead letters. Set synchronous_standby_names to lose none"
    )
    return Finding(POSTGRES, "replication", "warning", text)
