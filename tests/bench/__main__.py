"""Runs every benchmark of this folder (a module with ``main()``), or the named ones.

Example: ./dev bench delivery store
"""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path

FILES = {path.stem: path for path in sorted(Path(__file__).parent.glob("*.py")) if not path.stem.startswith("_")}


def described() -> str:
    """Return a line for each benchmark: its name and the first sentence of its docstring, without loading it."""
    told = {name: (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines() for name, path in FILES.items()}
    width = max(map(len, told))
    return "\n".join(f"  {name:{width}}  {lines[0] if lines else ''}".rstrip() for name, lines in told.items())


def main(names: list[str]) -> None:
    """Run the benchmarks, or tell what there is."""
    if {"-h", "--help"} & set(names):
        print(f"Usage: ./dev bench [NAME..]\n\n{__doc__}\nBenchmarks:\n{described()}")
        return
    if unknown := [name for name in names if name not in FILES]:
        sys.exit(f"no such benchmark: {', '.join(unknown)}; known: {', '.join(FILES)}")
    for name in names or FILES:
        importlib.import_module(f"tests.bench.{name}").main()


if __name__ == "__main__":
    main(sys.argv[1:])
