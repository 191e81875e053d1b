"""The relay: appends an outbox's rows to the queue, and keeps each until its job has arrived."""
