"""What operations ask of Postgres: questions only, nothing here changes anything."""
