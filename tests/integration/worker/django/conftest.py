"""Django is set up before the tests here import its models."""

import tests.support.django_project  # noqa: F401
