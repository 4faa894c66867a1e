"""What a gradient job is asked to do."""

from dataclasses import dataclass
from typing import Literal

from layergrad.contracts.config.modules import Modules
from layergrad.contracts.config.strict import Strict


class Settings(Strict):
    """All that a measurement depends on besides the model and the samples."""

    prompt: Literal["plain", "chat"] = "plain"
    paper_compat: bool = False
    max_length: int = 1024
    dtype: Literal["float32", "float64", "bfloat16", "float16"] = "float32"
    attention: str = "auto"
    device: str = "auto"
    device_map: Literal["auto"] | None = None
    projections: Literal["attention", "attention+mlp"] = "attention"
    modules: Modules | None = None
    extremes: bool = True
    similarity: bool = False
    threads: int = 1
    batch_tokens: int | None = None


@dataclass(frozen=True)
class Shard:
    """Part ``index`` (from 1) of ``count`` of a job."""

    index: int = 1
    count: int = 1

    @property
    def suffix(self) -> str:
        """What the shard adds to the name of its tables; nothing where there is only one."""
        return f".shard-{self.index}-of-{self.count}" if self.count > 1 else ""


WHOLE = Shard()
"""All of a job."""
