"""The reads of the App API: what the workspace knows of people and objects."""
