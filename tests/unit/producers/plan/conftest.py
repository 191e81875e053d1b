"""Tests of tracking plans need the packages of the extra ``plan``."""

from importlib.util import find_spec

# An environment that was made before the extra existed lacks them.
collect_ignore_glob = [] if find_spec("jsonschema_rs") else ["test_*.py"]
