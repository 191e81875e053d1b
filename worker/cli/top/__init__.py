"""The live screen of ``trackrelay top``."""
