from django.apps import AppConfig


class OscarShopConfig(AppConfig):
    name = "oscar_shop"

    def ready(self) -> None:
        from . import receivers  # noqa: F401 - importing connects the receivers
