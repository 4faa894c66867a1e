"""Study files, with the models and tasks that they name."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from layergrad.contracts.config.comparisons import Comparison, Pair, check_pairs, comparisons_of
from layergrad.contracts.config.models import ModelSpec
from layergrad.contracts.config.names import LocalPath, SafeName
from layergrad.contracts.config.strict import PositiveInt, Seed, Strict, StrictPositiveInt
from layergrad.contracts.config.tasks import TaskSpec
from layergrad.contracts.files import read_text
from layergrad.contracts.keys import Control


class Gradients(Strict):
    """How gradient jobs run. None of these keys changes a number beyond rounding."""

    threads: PositiveInt = Field(default=1, description="cores a gradient job takes; recorded with the results")
    shards: PositiveInt = Field(default=1, le=10_000, description="jobs a (model, task) is split into")
    batch_tokens: PositiveInt | None = Field(
        default=None,
        description="tokens, padding included, up to which samples are measured together, 1: each alone; if not given, "
        "256 on the CPU and 4096 on a GPU",
    )
    max_failure_rate: float = Field(
        default=0.02, ge=0, le=1, description="share of failed samples above which a job fails"
    )


class Study(Strict):
    """A study file, with the model and task files that it names already loaded."""

    name: SafeName = Field(description="of the folder in results/")
    title: str = Field(description="of the report")
    models: list[ModelSpec] = Field(min_length=1)
    tasks: list[TaskSpec] = Field(min_length=1)
    compare: list[Pair] = Field(
        default=[],
        description="pairs to show side by side, each of two models or of two tasks, with the ratio of the second to "
        "the first by layer; a model whose base is in the study is always compared with it",
    )
    seed: Seed = Field(default=0, description="of the choice of samples, irrelevant responses and resampling")
    limit: StrictPositiveInt | None = Field(
        default=None, description="at most so many samples of each response, where the task files ask for more"
    )
    mirror: LocalPath | None = Field(
        default=None, description="a folder that holds the files of url sources, by the last parts of their address"
    )
    controls: list[Control] = Field(
        default=[], description="responses that are measured once more with a confound removed"
    )
    max_length: PositiveInt = Field(
        default=1024, description="tokens of prompt and response; what is longer is cut off, and counted as truncated"
    )
    paper_compat: bool = Field(default=False, description="token ids and loss mask of the paper's released code")
    irrelevant: Literal["length_matched", "shuffled"] = Field(
        default="length_matched",
        description="how irrelevant responses are made: each sentence replaced by one nearest in length, or sentences "
        "pooled, shuffled and dealt out as in the paper",
    )
    length_tokenizer: str | None = Field(
        default=None, description="the model whose tokens measure length; needed where responses are made or cut here"
    )
    released: LocalPath | None = Field(
        default=None, description="a folder with the authors' released statistics, which take the place of measurements"
    )
    projections: Literal["attention", "attention+mlp"] = Field(
        default="attention", description="q, k, v and o; attention+mlp: also gate, up and down"
    )
    extremes: bool = Field(default=True, description="also the largest and smallest entry of each gradient")
    similarity: bool = Field(default=False, description="also the cosines between gradients of one response")
    noisy_above: float = Field(default=0.15, gt=0, description="standard error over mean above which a cell is flagged")
    gradients: Gradients = Field(default=Gradients(), description="how gradient jobs run")
    directory: Path = Field(exclude=True)

    @model_validator(mode="after")
    def _names_are_known(self) -> "Study":
        for kind, names in (("models", [m.name for m in self.models]), ("tasks", [t.name for t in self.tasks])):
            if len(set(names)) != len(names):
                raise ValueError(f"{kind} names one of {names} twice")
        makes = [task.name for task in self.tasks if self.controls or task.measures_length()]
        if makes and self.length_tokenizer not in {model.name for model in self.models}:
            raise ValueError(
                f"length_tokenizer is {self.length_tokenizer}, which is not among the models of the study; "
                f"responses of {makes[0]} are made here by the length of others"
            )
        return self

    @model_validator(mode="after")
    def _pairs_can_be_compared(self) -> "Study":
        check_pairs(self.compare, self.models, self.tasks)
        return self

    @model_validator(mode="after")
    def _controls_can_be_made(self) -> "Study":
        if len(set(self.controls)) != len(self.controls):
            raise ValueError(f"controls names one of {self.controls} twice")
        for control in self.controls:
            if not any(task.gives(control) for task in self.tasks):
                raise ValueError(f"controls: {control} given, but no task of the study has what it needs")
        if "irrelevant_shuffled" in self.controls and self.irrelevant == "shuffled":
            raise ValueError("controls: irrelevant_shuffled given, but irrelevant is shuffled already")
        return self

    @model_validator(mode="after")
    def _released_statistics_have_what_is_asked(self) -> "Study":
        asked = {
            "controls": bool(self.controls),
            "similarity": self.similarity,
            "projections": self.projections != "attention",
        }
        if self.released and any(asked.values()):
            key = next(key for key in asked if asked[key])
            raise ValueError(f"{key}: {getattr(self, key)} given, but released statistics have none of it")
        return self

    def model(self, name: str) -> ModelSpec:
        """The model of that name."""
        return next(model for model in self.models if model.name == name)

    def task(self, name: str) -> TaskSpec:
        """The task of that name."""
        return next(task for task in self.tasks if task.name == name)

    def comparisons(self) -> list[Comparison]:
        """All that is compared: the pairs asked for, and each model with its base."""
        return comparisons_of(self.compare, self.models, self.tasks)

    def template_texts(self, task: TaskSpec) -> dict[str, str]:
        """Text of every template of a task by file name. Raises ``UserError`` for one that is not there."""
        return {
            name: read_text(self.directory / "templates" / name, f"template of task {task.name}")
            for name in task.templates()
        }
