"""The Celery app.

``celery -A trackrelay worker`` and ``celery -A trackrelay beat`` find it here.
"""

from __future__ import annotations

from typing import Any

from celery import current_app, signals

from trackrelay.queue.append import DELIVER_TASK

from . import tasks
from .celery_app import graceful_shutdown
from .celery_app.celery_class import OwnCelery
from .celery_app.celery_messages import PRUNE_TASK, TICK_TASK, VERIFY_TASK
from .relay import relay_thread
from .telemetry import log_setup, work_spans

# Not the current app of the process: an application's Celery in the same process keeps its shared
# tasks.
app = OwnCelery("trackrelay", set_as_current=False)
app.config_from_object("trackrelay.worker.celery_app.celery_settings")

app.task(tasks.deliver, name=DELIVER_TASK)
app.task(tasks.tick, name=TICK_TASK)
app.task(tasks.prune, name=PRUNE_TASK)
app.task(tasks.verify, name=VERIFY_TASK)


@signals.setup_logging.connect(weak=False)  # type: ignore[untyped-decorator]
def _set_up_logging(**_: Any) -> None:
    from .settings import settings

    log_setup.configure(settings())


@signals.celeryd_init.connect(weak=False)  # type: ignore[untyped-decorator]
def _set_up_logging_early(instance: Any = None, **_: Any) -> None:
    if getattr(instance, "app", None) is app:
        from .settings import settings

        # Celery sets up logging only after our checks and after its warning about running as root.
        log_setup.configure(settings())


@signals.worker_init.connect(weak=False)  # type: ignore[untyped-decorator]
def _check_before_start(sender: Any = None, **_: Any) -> None:
    if getattr(sender, "app", None) is app:
        from .celery_app.startup_checks import check

        check()
        relay_thread.allow()


@signals.worker_ready.connect(weak=False)  # type: ignore[untyped-decorator]
def _show_and_tick(sender: Any = None, **_: Any) -> None:
    if getattr(sender, "app", None) is app:
        from .maintenance.heartbeat import start

        start(
            sender.hostname, type(sender.pool).__module__, int(sender.controller.concurrency or 0)
        )
        if "prefork" not in type(sender.pool).__module__:
            relay_thread.start()


@signals.worker_process_init.connect(weak=False)  # type: ignore[untyped-decorator]
def _begin_pool_process(**_: Any) -> None:
    # An application's worker may have imported our app too.
    if current_app._get_current_object() is app and graceful_shutdown.is_child():
        graceful_shutdown.begin()
        relay_thread.allow()
        relay_thread.start()


@signals.task_received.connect(weak=False)  # type: ignore[untyped-decorator]
def _note_received(**_: Any) -> None:
    from .maintenance.heartbeat import note_received

    note_received()


@signals.task_prerun.connect(weak=False)  # type: ignore[untyped-decorator]
def _begin_task(**_: Any) -> None:
    graceful_shutdown.begin_task()


@signals.task_postrun.connect(weak=False)  # type: ignore[untyped-decorator]
def _end_task(**_: Any) -> None:
    graceful_shutdown.end_task()


@signals.worker_process_shutdown.connect(weak=False)  # type: ignore[untyped-decorator]
def _end_pool_process(**_: Any) -> None:
    graceful_shutdown.end()
    relay_thread.stop()
    work_spans.flush_spans()


@signals.worker_shutting_down.connect(weak=False)  # type: ignore[untyped-decorator]
def _stop_ticking(**_: Any) -> None:
    from .maintenance.heartbeat import stop

    stop()
    relay_thread.stop(wait_s=0)
