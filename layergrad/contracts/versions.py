"""What made a result: versions of packages, and of this project's own code, floor by floor."""

import ast
import importlib.metadata
from pathlib import Path

from layergrad.contracts.files import text_sha256

_PACKAGE = Path(__file__).parents[1]
MEASUREMENT = (
    "contracts/config/modules.py",
    "contracts/keys.py",
    "contracts/tables.py",
    "gradients/backlog.py",
    "gradients/batches.py",
    "gradients/capture.py",
    "gradients/controls.py",
    "gradients/earlier.py",
    "gradients/extract.py",
    "gradients/lapack.py",
    "gradients/loading.py",
    "gradients/loss.py",
    "gradients/measure.py",
    "gradients/parts.py",
    "gradients/rank_bound.py",
    "gradients/settings.py",
    "gradients/similarity.py",
    "gradients/spectrum.py",
    "models/load.py",
    "models/projections.py",
    "models/registry.py",
    "models/tokens.py",
)
"""The code that a measured number depends on."""

PREPARATION = ("contracts/sources.py", "models/load.py", "models/prepare.py")
"""The code that prepared weights depend on."""

_NUMERIC = ("torch", "transformers", "numpy", "scipy", "pandas", "pyarrow")


def package_versions(names: tuple[str, ...] = _NUMERIC) -> dict[str, str]:
    """Installed versions of the packages that numbers depend on."""
    return {name: importlib.metadata.version(name) for name in ("layergrad", *names)}


def code_version(*floors: str) -> str:
    """16 hex digits that change with the code of the floors, but not with comments, docstrings or other floors.

    A floor is a folder of the package, or a module such as ``contracts/tables.py``.
    """
    paths = [path for floor in floors for path in _sources(_PACKAGE / floor)]
    trees = [_WithoutDocstrings().visit(ast.parse(path.read_text(encoding="utf-8"))) for path in paths]
    return text_sha256(*map(ast.dump, trees))[:16]


class _WithoutDocstrings(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) else node


def _sources(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]
