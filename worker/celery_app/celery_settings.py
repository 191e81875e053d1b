"""Celery's settings.

All keys in Redis have our prefix, so that an application's Celery can use the same Redis.
"""

from __future__ import annotations

import sys

from trackrelay.errors import ConfigurationError
from trackrelay.queue.redis_keys import CELERY_PREFIX, QUEUE
from trackrelay.worker.queue.redis_client import broker_url_of
from trackrelay.worker.settings import settings

try:
    _settings = settings()
except ConfigurationError as error:
    sys.exit(f"trackrelay: {error}")

broker_url = broker_url_of(_settings.redis_url.get_secret_value())
broker_transport_options = {
    "global_keyprefix": CELERY_PREFIX,
    # One list instead of four. Priorities are not used.
    "priority_steps": [0],
    "socket_timeout": 30,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 25,
}
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
# A Redis at its maxmemory refuses Celery's writes. Celery treats that as an error of the channel,
# and would end.
broker_channel_error_retry = True
result_backend = None
task_ignore_result = True
task_default_queue = QUEUE
task_serializer = "json"
accept_content = ["json"]
# A worker starts each message that it takes. In its buffer, a message would make a shard wait
# beside idle workers.
worker_prefetch_multiplier = 1
# A message is only a wakeup. It may be lost, so there is no use in acknowledging it late.
task_acks_late = False
worker_hijack_root_logger = False
worker_redirect_stdouts = False
worker_send_task_events = False
worker_cancel_long_running_tasks_on_connection_loss = False
# An application's Celery has other names for its exchanges, queues and event channels.
control_exchange = "trackrelay.pidbox"
event_exchange = "trackrelay.celeryev"
event_queue_prefix = "trackrelay.celeryev"
enable_utc = True
timezone = "UTC"
beat_scheduler = "trackrelay.worker.beat:BoundedScheduler"
beat_max_loop_interval = 1
beat_schedule = {
    "trackrelay-tick": {"task": "trackrelay.tick", "schedule": 1.0, "options": {"expires": 5}},
    "trackrelay-prune": {
        "task": "trackrelay.prune",
        "schedule": 600.0,
        "options": {"expires": 300},
    },
}
if _settings.verify != "off":
    beat_schedule["trackrelay-verify"] = {
        "task": "trackrelay.verify",
        "schedule": 2.0,
        "options": {"expires": 5},
    }
