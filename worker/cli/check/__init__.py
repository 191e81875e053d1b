"""``trackrelay check``: is everything configured, reached, migrated and set as it must be?"""
