"""Rehearsals: which messages campaigns would send, given what arrived."""
