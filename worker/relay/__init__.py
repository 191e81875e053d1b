"""The relay: takes rows of an outbox on into the queue, in order, and keeps each until its job has arrived."""
