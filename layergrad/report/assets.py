"""What the pages need beside themselves: the plotting library Vega with its licences, and the script of the charts.

Nothing of a library is kept in this repository. Snakemake, which is pinned, brings Vega for its own report.
"""

from importlib import resources
from pathlib import Path

from layergrad.contracts.errors import UserError
from layergrad.contracts.files import write_text
from layergrad.contracts.paths import ASSETS

VEGA = "vega/vega.js"
# Vega, what it is built from, and what parts of it were adapted from.
LICENCES = (
    *("vega/LICENSE", "@types-estree/LICENSE", "commons-math/LICENSE.txt", "commons-math/NOTICE.txt"),
    *(
        f"d3-{part}/LICENSE"
        for part in (
            *("array", "color", "contour", "delaunay", "dispatch", "dsv", "force", "format", "geo", "geo-projection"),
            *("hierarchy", "interpolate", "path", "quadtree", "regression", "scale", "shape", "time", "time-format"),
            "timer",
        )
    ),
    *("delaunator/LICENSE", "esprima/LICENSE.BSD", "fabric/LICENSE", "hashlru/LICENSE", "quickselect/LICENSE"),
    *("regression/LICENSE", "science/LICENSE", "shapefile/LICENSE", "topojson-client/LICENSE"),
)


def write_assets(folder: str | Path) -> None:
    """Write every one of ``ASSETS`` into ``folder``. Raises ``UserError`` if the installed Snakemake has no Vega."""
    vega, licences, script = (Path(folder) / name for name in ASSETS)
    write_text(vega, _bundled(VEGA))
    write_text(licences, "\n".join(f"===== {name} =====\n\n{_bundled(name).strip()}\n" for name in LICENCES))
    own = resources.files("layergrad.report") / "templates" / script.name
    write_text(script, own.read_text(encoding="utf-8"))


def _bundled(name: str) -> str:
    """The text of a file that Snakemake brings."""
    file = resources.files("snakemake.assets") / "data" / name
    if not file.is_file():
        raise UserError(f"the installed snakemake has no {name}, which the charts need; install requirements/lock.txt")
    return file.read_text(encoding="utf-8")
