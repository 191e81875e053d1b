"""What several commands share: output, errors, settings, connections."""
