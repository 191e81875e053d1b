"""The Lua scripts of delivery: what happens in Redis in one step. They stand in ``lua/*.lua``.

Every script that reads, renews or sends first compares the holder's lease token.
"""

from __future__ import annotations

from functools import partial

from trackrelay.queue.append import WAKE_LUA
from trackrelay.queue.lua_files import lua_script

#: The consumer group, and its one consumer: a new holder first processes what an earlier one left
#: pending.
GROUP = "trackrelay"
CONSUMER = "holder"

_script = partial(lua_script, __package__)

CLAIM = _script("claim")
CLAIM_TO_DRAIN = _script("claim_to_drain")
DROP_CLAIM = _script("drop_claim")
TAKE = _script("take")
READ = _script("read")
CLAIM_BACKLOG = _script("claim_backlog")
ACKNOWLEDGE = _script("acknowledge")
LEAVE = f"{WAKE_LUA}\n{_script('leave')}"
CHOOSE_SHARD = _script("choose_shard")
WAKE = f"{WAKE_LUA}\n{_script('wake')}"
PERMIT = _script("permit")
SLOW_DOWN = _script("slow_down")
RECORD_SUCCESS = _script("record_success")
RECORD_FAILURE = _script("record_failure")
BREAKER_STATES = _script("breaker_states")
PROBE_NOW = _script("probe_now")
