"""Model files: ``models/<model>.yaml``."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from layergrad.contracts.config.modules import Modules
from layergrad.contracts.config.names import SafeName
from layergrad.contracts.config.sources import Source
from layergrad.contracts.config.strict import PositiveInt, Seed, Strict

Layer = Annotated[int, Field(ge=0)]


class Segments(Strict):
    """First and last layer, counted from 0 and inclusive, of the early, mid and last part of a model."""

    early: tuple[Layer, Layer] = Field(description="first and last layer of the early part")
    mid: tuple[Layer, Layer] = Field(description="of the middle part")
    last: tuple[Layer, Layer] = Field(description="of the last part")

    @model_validator(mode="after")
    def _one_after_the_other(self) -> "Segments":
        ends = [*self.early, *self.mid, *self.last]
        if ends != sorted(ends) or self.early[1] == self.mid[0] or self.mid[1] == self.last[0]:
            raise ValueError(f"segments must follow one another without sharing a layer, {ends} given")
        return self


class ModelWeights(Strict):
    """What weights and tokenizer of a model are: all that preparing it depends on."""

    name: SafeName
    source: Source | None = Field(
        default=None, description="weights and tokenizer: hub repository, directory, GGUF file"
    )
    weights: Literal["pretrained", "random"] = Field(
        default="pretrained",
        description="random: drawn by the seed, for the source's configuration or an architecture",
    )
    architecture: dict[str, Any] | None = Field(default=None, description="for random weights: a transformers config")
    tokenizer: Source | None = Field(default=None, description="where the source has no tokenizer of its own")
    seed: Seed = Field(default=0, description="for random weights")
    trust_remote_code: bool = Field(
        default=False, description="run the Python code that the source brings; only for sources that you trust"
    )

    @model_validator(mode="after")
    def _weights_have_an_origin(self) -> "ModelWeights":
        if self.weights == "pretrained" and self.source is None:
            raise ValueError("pretrained weights need a source")
        if self.weights == "random" and (self.source is None) == (self.architecture is None):
            raise ValueError("random weights need either a source, whose configuration is taken, or an architecture")
        if self.architecture is not None and self.tokenizer is None:
            raise ValueError("an architecture needs a tokenizer")
        return self


class ModelSpec(ModelWeights):
    """``models/<model>.yaml``."""

    title: str = Field(description="its name in figures, tables and report")
    dtype: Literal["float32", "float64", "bfloat16", "float16"] = Field(
        default="float32", description="of weights and arithmetic; spectra are in float64 from float32 or more"
    )
    attention: Literal["auto", "sdpa", "eager"] = Field(
        default="auto", description="auto: sdpa, or eager where the model has no sdpa"
    )
    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = Field(
        default="auto", description="auto: a CUDA GPU, else MPS, else the CPU"
    )
    device_map: Literal["auto"] | None = Field(default=None, description="auto: the layers over all CUDA GPUs")
    prompt: Literal["plain", "chat"] = Field(
        default="plain", description="plain: instruction, newline, response; chat: the tokenizer's chat template"
    )
    modules: Modules | None = Field(default=None, description="where the projections are, if not at a known place")
    segments: Segments | None = Field(
        default=None, description="if not given, the paper's for 26, 28, 32 and 42 layers, thirds for all others"
    )
    base: SafeName | None = Field(default=None, description="the model it was tuned from")
    untrained_of: SafeName | None = Field(
        default=None,
        description="the model whose architecture this is, with random weights; it is measured without controls, being "
        "one itself",
    )
    released_as: SafeName | None = Field(default=None, description="its folder in the authors' released statistics")
    licence: str = Field(description="of the weights; the report lists it")
    note: str | None = Field(default=None, description="what a reader of the report must know of these weights")
    memory_mb: PositiveInt = Field(description="declared peak memory of one gradient job, an estimate")
    gpus: int = Field(default=0, ge=0, description="GPUs that one gradient job asks a cluster for")
    seconds_per_1000_tokens: float = Field(gt=0, description="declared core-seconds, an estimate")

    @model_validator(mode="after")
    def _one_way_to_place_it(self) -> "ModelSpec":
        if self.device_map and self.device != "auto":
            raise ValueError(f"device_map auto takes all CUDA GPUs and no device, but device is {self.device}")
        return self

    @model_validator(mode="after")
    def _untrained_is_random(self) -> "ModelSpec":
        if self.untrained_of and self.weights != "random":
            raise ValueError(f"untrained_of {self.untrained_of} needs weights: random, but weights are {self.weights}")
        return self
