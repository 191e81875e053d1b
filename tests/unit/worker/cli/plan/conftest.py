"""Tests of the commands about tracking plans, which need the packages of the extra ``plan``."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("jsonschema_rs") else ["test_*.py"]
