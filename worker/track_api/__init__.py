"""Customer.io's APIs as the worker speaks them: requests, answers, and what an answer means."""
