"""Make a clone's folders ``producers``, ``worker`` and ``sandbox`` importable by their own names.

The code is the package ``trackrelay``, and a wheel holds nothing else. In a clone its parts lie in
folders at the top level, so ``from producers import track`` and ``celery -A worker worker`` find
them. A second copy of a module would have its own settings, connections and classes. So these names
become aliases of the same modules.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import InspectLoader, Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType

#: Each folder at the top level of a clone, and the package in it.
FOLDERS = {
    "producers": "trackrelay",
    "worker": "trackrelay.worker",
    "sandbox": "trackrelay.sandbox",
}


def use_package(folder: str) -> None:
    """Make the folder's name an alias of its package. The folder's ``__init__`` calls it."""
    sys.modules[folder] = importlib.import_module(FOLDERS[folder])
    if not any(isinstance(finder, _FolderFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _FolderFinder())


class _FolderFinder(MetaPathFinder):
    """Find ``worker.delivery`` as ``trackrelay.worker.delivery`` in a clone."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        folder, dot, rest = name.partition(".")
        package = FOLDERS.get(folder)
        if not dot or package is None or sys.modules.get(folder) is not sys.modules.get(package):
            return None
        module = importlib.util.find_spec(f"{package}.{rest}")
        if module is None:
            return None
        return ModuleSpec(name, _SameModule(module), origin=module.origin)


class _SameModule(Loader):
    """Load a module by importing it by its name in the package."""

    def __init__(self, spec: ModuleSpec) -> None:
        self._spec = spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        # The import system returns what is in sys.modules after loading.
        sys.modules[module.__name__] = importlib.import_module(self._spec.name)

    def get_code(self, name: str) -> CodeType | None:
        """Return the module's code, for ``python -m``."""
        loader = self._spec.loader
        return loader.get_code(self._spec.name) if isinstance(loader, InspectLoader) else None
