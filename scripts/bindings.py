#!/usr/bin/env python3
"""Bind each builder of operations as a method, a function and a coroutine, one line each.

Type checkers learn names from source alone, hence these lines. Run it when you have added a
builder. With `--check` it changes nothing, and fails if a line is missing, wrong or left over.
"""

import ast
import re
import sys
from pathlib import Path

PRODUCERS = Path(__file__).parents[1] / "producers"
MARK = "# Written by scripts/bindings.py.\n"
#: Each file, and how it binds a builder. `{kind}` is `one` or `many`, by what the builder returns.
BINDINGS = {
    "__init__.py": "_default(Producer.{name})",
    "aio.py": "_{kind}(operations.{name})",
    "calls/operation_methods.py": "_{kind}(operations.{name})",
}


def builder_kinds() -> dict[str, str]:
    """Return the name of each builder, and whether it makes one operation or many."""
    functions = [
        node
        for path in sorted(PRODUCERS.glob("operations/*_builders.py"))
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and node.returns
    ]
    return {
        each.name: {"Operation": "one", "tuple[Operation, ...]": "many"}[ast.unparse(each.returns)]
        for each in functions
    }


def bound(text: str, binding: str, kinds: dict[str, str]) -> str:
    """Return the text of a file with one line for each builder below the mark.

    Lines that are there keep their order. `__all__` has the same names.
    """
    before, rest = text.split(MARK)
    block, blank, after = rest.partition("\n\n")
    there = re.findall(r"^ *(\w+) = ", block, re.MULTILINE)
    names = [name for name in dict.fromkeys([*there, *kinds]) if name in kinds]
    indent = before.rpartition("\n")[2]
    lines = [f"{indent}{name} = {binding.format(name=name, kind=kinds[name])}" for name in names]
    gone = set(there) - kinds.keys()

    def listed(found: re.Match[str]) -> str:
        public = {*re.findall(r'"(\w+)"', found[1]), *kinds} - gone
        return "".join(["__all__ = [\n", *(f'    "{each}",\n' for each in sorted(public)), "]\n"])

    after = re.sub(r"^__all__ = \[\n(.*?)\]\n", listed, after, flags=re.DOTALL | re.MULTILINE)
    return before + MARK + "\n".join(lines) + (blank + after if blank else "\n")


def main() -> None:
    """Write the files, or name those that differ."""
    kinds, stale = builder_kinds(), []
    for name, binding in BINDINGS.items():
        path = PRODUCERS / name
        text = path.read_text(encoding="utf-8")
        if (new := bound(text, binding, kinds)) != text:
            stale.append(f"producers/{name}")
            if "--check" not in sys.argv:
                path.write_text(new, encoding="utf-8")
    if stale and "--check" in sys.argv:
        sys.exit(f"the bindings are stale in {', '.join(stale)}: run scripts/bindings.py")
    print("\n".join(stale) or "all bindings are there")


if __name__ == "__main__":
    main()
