"""``./dev bench [NAME..]``: runs every benchmark of this folder (a module with ``main()``), or the named ones."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

found = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))
names = sys.argv[1:] or found
if unknown := [name for name in names if name not in found]:
    sys.exit(f"no such benchmark: {', '.join(unknown)}; known: {', '.join(found)}")
for name in names:
    importlib.import_module(f"tests.bench.{name}").main()
