"""The whole stack on one machine: servers, sandbox, worker and beat as child processes."""
