"""The configuration: one pydantic model for every YAML file.

A study file names its models and tasks; each has a file of its own, ``models/<model>.yaml`` and ``tasks/<task>.yaml``,
beside the study file, and templates lie in ``templates/`` there.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, ValidationError, model_validator

from layergrad.contracts.files import read_text
from layergrad.contracts.keys import CONTROLS, FAMILIES, VARIANTS
from layergrad.contracts.mistakes import ORIGIN_TAGS, SOURCE_TAGS, told
from layergrad.contracts.modules import Modules
from layergrad.contracts.options import OPTIONS
from layergrad.contracts.strict import PositiveInt, Strict, StrictPositiveInt

SafeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
TaskName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", description="a dot would end the name of a file")
]
_PART = r"[^./\\:][^/\\:]*"
MemberName = Annotated[str, Field(pattern=rf"^{_PART}(/{_PART})*$", description="a path that stays in its folder")]
TemplateName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Family = Literal[FAMILIES]
Variant = Literal[VARIANTS]
Control = Literal[CONTROLS[1:]]


class HubSource(Strict):
    """A repository on the Hugging Face hub at one commit; for data also its configuration and split."""

    hub: str
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$", description="a commit: branches and tags can move")]
    subset: str | None = None
    split: str = "train"


class UrlSource(Strict):
    """One file at an address."""

    url: str
    sha256: Sha256


class PypiSource(Strict):
    """Members of a Python package's archive, each with the sha256 of its bytes. The package is never installed."""

    pypi: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+$")]
    members: dict[MemberName, Sha256] = Field(min_length=1)


class FileSource(Strict):
    """A local file or folder, relative to the working directory; the checksum is optional and for a file."""

    file: str
    sha256: Sha256 | None = None


def _source_tag(value: Any) -> str | None:
    if isinstance(value, dict):
        return next((tag for tag, kind in SOURCE_TAGS.items() if kind in value), None)
    return f"{type(value).__name__.removesuffix('Source').lower()} source"


Part = Annotated[
    Annotated[UrlSource, Tag("url source")] | Annotated[PypiSource, Tag("pypi source")],
    Discriminator(
        _source_tag,
        custom_error_type="source",
        custom_error_message="a part has one of: url (with sha256), pypi (with members)",
    ),
]


class JoinSource(Strict):
    """One file that is published in parts: what they hold, joined in order, has the sha256 and gets the name."""

    join: list[Part] = Field(min_length=1)
    name: SafeName
    sha256: Sha256


Source = Annotated[
    Annotated[HubSource, Tag("hub source")]
    | Annotated[UrlSource, Tag("url source")]
    | Annotated[PypiSource, Tag("pypi source")]
    | Annotated[JoinSource, Tag("join source")]
    | Annotated[FileSource, Tag("file source")],
    Discriminator(
        _source_tag,
        custom_error_type="source",
        custom_error_message="a source has one of: hub (with revision), url (with sha256), pypi (with members), "
        "join (with name and sha256), file",
    ),
]


Layer = Annotated[int, Field(ge=0)]


class Segments(Strict):
    """First and last layer, counted from 0 and inclusive, of the early, mid and last part of a model."""

    early: tuple[Layer, Layer]
    mid: tuple[Layer, Layer]
    last: tuple[Layer, Layer]

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
    weights: Literal["pretrained", "random"] = "pretrained"
    architecture: dict[str, Any] | None = Field(default=None, description="for random weights: a transformers config")
    tokenizer: Source | None = Field(default=None, description="where the source has no tokenizer of its own")
    seed: int = Field(default=0, description="for random weights")
    trust_remote_code: bool = False

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

    title: str
    dtype: Literal["float32", "float64", "bfloat16", "float16"] = "float32"
    attention: Literal["auto", "sdpa", "eager"] = Field(
        default="auto", description="auto: sdpa, or eager where the model has no sdpa"
    )
    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")] = Field(
        default="auto", description="auto: a CUDA GPU, else MPS, else the CPU"
    )
    device_map: Literal["auto"] | None = Field(default=None, description="auto: the layers over all CUDA GPUs")
    prompt: Literal["plain", "chat"] = "plain"
    modules: Modules | None = Field(default=None, description="where the projections are, if not at a known place")
    segments: Segments | None = None
    base: SafeName | None = Field(
        default=None, description="the model it was tuned from; a study of both compares them"
    )
    released_as: SafeName | None = Field(default=None, description="its folder in the authors' released statistics")
    licence: str
    note: str | None = Field(default=None, description="what a reader of the report must know of these weights")
    memory_mb: PositiveInt = Field(description="declared peak memory of one gradient job, an estimate")
    seconds_per_1000_tokens: float = Field(gt=0, description="declared core-seconds, an estimate")

    @model_validator(mode="after")
    def _one_way_to_place_it(self) -> "ModelSpec":
        if self.device_map and self.device != "auto":
            raise ValueError(f"device_map auto takes all CUDA GPUs and no device, but device is {self.device}")
        return self


class RowField(Strict):
    """A field of the rows, taken byte for byte."""

    field: str


class Given(Strict):
    """Responses that a source holds ready: rows of ``instruction`` and ``output``, matched by the prompt."""

    source: SafeName


def _origin_tag(value: Any) -> str:
    """A mapping is told by its key, a model by its field; whatever else there is should be a template's name."""
    keys = value if isinstance(value, dict) else getattr(type(value), "model_fields", {})
    return next((tag for tag, key in ORIGIN_TAGS.items() if key in keys), "template origin")


Template = Annotated[TemplateName, Tag("template origin")]
TextOrigin = Annotated[
    Template | Annotated[RowField, Tag("field origin")],
    Discriminator(
        _origin_tag, custom_error_type="origin", custom_error_message="a text is a template's name or {field: NAME}"
    ),
]
ResponseOrigin = Annotated[
    Template | Annotated[Given, Tag("source origin")],
    Discriminator(
        _origin_tag,
        custom_error_type="origin",
        custom_error_message="a response is a template's name or {source: NAME}",
    ),
]


class VariantContent(Strict):
    """Where one variant's responses come from: each is rendered by a template, whose file is named, or given."""

    correct: ResponseOrigin
    irrelevant: Given | None = Field(default=None, description="if not given, made from sentences of other rows")
    incorrect: TemplateName | None = None
    before_error: TemplateName | None = Field(
        default=None, description="the incorrect response up to its first wrong step"
    )
    after_error: TemplateName | None = Field(default=None, description="the same with that step")
    pool: TemplateName | None = Field(
        default=None, description="where irrelevant sentences come from; as correct if not given"
    )
    provenance: str = Field(default="human", description="who wrote the correct response; may be a Jinja expression")


class VariantSpec(VariantContent):
    """The same, with what the estimate of time needs."""

    tokens: PositiveInt = Field(description="typical tokens of prompt and response")


class Samples(Strict):
    """How many samples of each response a variant takes."""

    correct: StrictPositiveInt
    irrelevant: StrictPositiveInt
    incorrect: Annotated[int, Field(ge=0, strict=True)] = 0


class TaskContent(Strict):
    """All that a task's samples depend on besides its sources."""

    name: TaskName
    family: Family
    licence: str
    reader: Literal[tuple(OPTIONS)] = "rows"
    options: dict[str, Any] = Field(default_factory=dict, description="what the reader needs to know")
    group: str | None = Field(default=None, description="a field; rows that share it never lend each other sentences")
    rows: list[SafeName] | None = Field(
        default=None, description="the sources that are read as rows; if not given, all that no response is given by"
    )
    instruction: TextOrigin = Field(description="the prompt: a template, or a field as it is")
    answer: TextOrigin | None = Field(default=None, description="the bare answer, likewise")
    variants: dict[Variant, VariantContent] = Field(min_length=1)
    samples: dict[Variant, Samples | StrictPositiveInt]

    @model_validator(mode="after")
    def _options_fit_the_reader(self) -> "TaskContent":
        try:
            self.reader_options()
        except ValidationError as error:
            raise ValueError(told(error.errors()[0], OPTIONS[self.reader], "options")) from error
        return self

    @model_validator(mode="after")
    def _samples_fit_the_variants(self) -> "TaskContent":
        if set(self.samples) != set(self.variants):
            raise ValueError(f"samples are given for {sorted(self.samples)}, variants are {sorted(self.variants)}")
        for variant in self.variants:
            if self.samples_of(variant).incorrect and not self.variants[variant].incorrect:
                raise ValueError(f"samples ask for incorrect responses of {variant}, which has no template for them")
        return self

    def samples_of(self, variant: str) -> Samples:
        """Counts by response; a bare number n means n correct and n irrelevant ones."""
        count = self.samples[variant]
        return count if isinstance(count, Samples) else Samples(correct=count, irrelevant=count)

    def reader_options(self) -> Strict:
        """The options as the reader's own model."""
        return OPTIONS[self.reader].model_validate(self.options)

    def templates(self) -> list[str]:
        """File names of all templates the task uses, sorted."""
        names = {self.instruction, self.answer}
        for variant in self.variants.values():
            names |= {variant.correct, variant.incorrect, variant.before_error, variant.after_error, variant.pool}
        return sorted(name for name in names if isinstance(name, str))

    def gives(self, control: str) -> bool:
        """Whether any response of the task can have a control."""
        match control:
            case "answer_only":
                return self.answer is not None
            case "irrelevant_shuffled":
                return any(variant != "none" and not spec.irrelevant for variant, spec in self.variants.items())
            case "cut_before_error" | "cut_after_error":
                needed = control.removeprefix("cut_")
                return any(getattr(spec, needed) and spec.incorrect for spec in self.variants.values())
        return True

    def given(self) -> dict[tuple[str, str], str]:
        """By (variant, response), the source that holds these responses ready."""
        return {
            (variant, response): role.source
            for variant, spec in self.variants.items()
            for response, role in (("correct", spec.correct), ("irrelevant", spec.irrelevant))
            if isinstance(role, Given)
        }


class TaskSpec(TaskContent):
    """``tasks/<task>.yaml``."""

    title: str
    attribution: str
    note: str | None = Field(default=None, description="what a reader of the report must know of these data")
    sources: dict[SafeName, Source] = Field(min_length=1)
    variants: dict[Variant, VariantSpec] = Field(min_length=1)

    @model_validator(mode="after")
    def _given_sources_are_there(self) -> "TaskSpec":
        for source in self.rows or []:
            if source not in self.sources:
                raise ValueError(f"rows: source {source!r}; sources are {sorted(self.sources)}")
        for (variant, response), source in self.given().items():
            if source not in self.sources:
                raise ValueError(
                    f"variants.{variant}.{response}: source {source!r}; sources are {sorted(self.sources)}"
                )
        return self

    def limited(self, limit: int | None) -> "TaskSpec":
        """The task with no more than so many samples of each response."""
        if limit is None:
            return self
        counts = {variant: self.samples_of(variant).model_dump() for variant in self.variants}
        samples = {
            variant: Samples(**{r: min(n, limit) for r, n in count.items()}) for variant, count in counts.items()
        }
        return self.model_copy(update={"samples": samples})

    def content(self) -> TaskContent:
        """The task without what changes nothing in its samples."""
        values = self.model_dump(include=set(TaskContent.model_fields))
        for variant in values["variants"].values():
            del variant["tokens"]
        return TaskContent.model_validate(values)


class Gradients(Strict):
    """How gradient jobs run. None of these keys changes a number beyond rounding."""

    threads: PositiveInt = Field(default=1, description="cores a gradient job takes; recorded with the results")
    shards: PositiveInt = Field(default=1, description="jobs a (model, task) is split into")
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

    name: SafeName
    title: str
    models: list[ModelSpec] = Field(min_length=1)
    tasks: list[TaskSpec] = Field(min_length=1)
    seed: int = 0
    limit: StrictPositiveInt | None = Field(
        default=None, description="at most so many samples of each response, where the task files ask for more"
    )
    mirror: str | None = Field(
        default=None, description="a folder that holds the files of url sources, by the last parts of their address"
    )
    released: str | None = Field(
        default=None, description="a folder of statistics in the authors' format, which take the place of measurements"
    )
    controls: list[Control] = Field(
        default=[], description="responses that are measured once more with a confound removed"
    )
    max_length: PositiveInt = 1024
    paper_compat: bool = False
    irrelevant: Literal["length_matched", "shuffled"] = "length_matched"
    length_tokenizer: str = Field(description="the model whose tokens measure length where data are made")
    projections: Literal["attention", "attention+mlp"] = "attention"
    extremes: bool = True
    similarity: bool = Field(default=False, description="also the cosines between gradients of one response")
    noisy_above: float = Field(default=0.15, gt=0, description="standard error over mean above which a cell is flagged")
    gradients: Gradients = Gradients()
    directory: Path = Field(exclude=True)

    @model_validator(mode="after")
    def _names_are_known(self) -> "Study":
        for kind, names in (("models", [m.name for m in self.models]), ("tasks", [t.name for t in self.tasks])):
            if len(set(names)) != len(names):
                raise ValueError(f"{kind} names one of {names} twice")
        if self.length_tokenizer not in {model.name for model in self.models}:
            raise ValueError(f"length_tokenizer is {self.length_tokenizer}, which is not among the models of the study")
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

    def model(self, name: str) -> ModelSpec:
        """The model of that name."""
        return next(model for model in self.models if model.name == name)

    def task(self, name: str) -> TaskSpec:
        """The task of that name."""
        return next(task for task in self.tasks if task.name == name)

    def template_texts(self, task: TaskSpec) -> dict[str, str]:
        """Text of every template of a task by file name. Raises ``UserError`` for one that is not there."""
        return {
            name: read_text(self.directory / "templates" / name, f"template of task {task.name}")
            for name in task.templates()
        }
