"""Task files: ``tasks/<task>.yaml``."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, ValidationError, model_validator

from layergrad.contracts.config.mistakes import ORIGIN_TAGS, told
from layergrad.contracts.config.names import SafeName
from layergrad.contracts.config.options import OPTIONS, Reader
from layergrad.contracts.config.sources import Source
from layergrad.contracts.config.strict import PositiveInt, Strict, StrictPositiveInt
from layergrad.contracts.keys import Family, Variant

TaskName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=100, description="a dot would end the name of a file"),
]
TemplateName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$", max_length=250)
]


class RowField(Strict):
    """A field of the rows, taken byte for byte."""

    field: str = Field(description="its name")


class Given(Strict):
    """Responses that a source holds ready: rows of ``instruction`` and ``output``, matched by the prompt."""

    source: SafeName = Field(description="one of the task's sources")


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
    Template | Annotated[RowField, Tag("field origin")] | Annotated[Given, Tag("source origin")],
    Discriminator(
        _origin_tag,
        custom_error_type="origin",
        custom_error_message="a response is a template's name, {field: NAME} or {source: NAME}",
    ),
]


class VariantContent(Strict):
    """Where one variant's responses come from: rendered by a template, whose file is named, a field, or given."""

    correct: ResponseOrigin = Field(description="a template's name, a field of the rows, or a source that has them")
    irrelevant: Given | None = Field(default=None, description="if not given, made from sentences of other rows")
    incorrect: TemplateName | None = Field(default=None, description="template of wrong responses to the same prompts")
    before_error: TemplateName | None = Field(
        default=None, description="the incorrect response up to its first wrong step"
    )
    after_error: TemplateName | None = Field(default=None, description="the same with that step")
    pool: TemplateName | None = Field(
        default=None, description="where irrelevant sentences come from; as correct if not given"
    )
    provenance: str = Field(default="human", description="who wrote the correct response; may be a Jinja expression")


class VariantSpec(VariantContent):
    """Where one variant's responses come from, and their typical length, for the estimate of time."""

    tokens: PositiveInt = Field(description="typical tokens of prompt and response")


class Samples(Strict):
    """How many samples of each response a variant takes."""

    correct: StrictPositiveInt = Field(description="responses as they are")
    irrelevant: StrictPositiveInt = Field(description="responses that belong to other prompts")
    incorrect: Annotated[int, Field(ge=0, strict=True)] = Field(default=0, description="wrong responses")


class TaskContent(Strict):
    """All that a task's samples depend on besides its sources."""

    name: TaskName
    family: Family = Field(description="math and commonsense have variants of reasoning, knowledge variants of length")
    licence: str = Field(description="of the data; the report lists it")
    reader: Reader = Field(
        default="rows",
        description="rows: files of rows with any fields; pairs: of a prompt and a response; others: one data set each",
    )
    options: dict[str, Any] = Field(default_factory=dict, description="what the reader needs to know")
    group: str | None = Field(default=None, description="a field; rows that share it never lend each other sentences")
    rows: list[SafeName] | None = Field(
        default=None, description="the sources that are read as rows; if not given, all that no response is given by"
    )
    instruction: TextOrigin = Field(description="the prompt: a template, or a field as it is")
    answer: TextOrigin | None = Field(default=None, description="the bare answer, likewise")
    variants: Mapping[Variant, VariantContent] = Field(min_length=1)
    samples: dict[Variant, Samples | StrictPositiveInt] = Field(
        description="by variant, how many; a bare number n means n correct and n irrelevant ones"
    )

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

    def samples_of(self, variant: Variant) -> Samples:
        """Counts by response; a bare number n means n correct and n irrelevant ones."""
        count = self.samples[variant]
        return count if isinstance(count, Samples) else Samples(correct=count, irrelevant=count)

    def reader_options(self) -> Strict:
        """The options as the reader's own model."""
        return OPTIONS[self.reader].model_validate(self.options)

    def templates(self) -> list[str]:
        """File names of all templates the task uses, sorted."""
        origins: list[str | RowField | Given | None] = [self.instruction, self.answer]
        for variant in self.variants.values():
            origins += [variant.correct, variant.incorrect, variant.before_error, variant.after_error, variant.pool]
        return sorted({origin for origin in origins if isinstance(origin, str)})

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

    def measures_length(self) -> bool:
        """Whether making the task's responses takes a tokenizer: not where sources hold all of them ready."""
        ready = all(isinstance(spec.correct, Given) and spec.irrelevant for spec in self.variants.values())
        return self.reader != "rows" or not ready

    def given(self) -> dict[tuple[Variant, str], str]:
        """By (variant, response), the source that holds these responses ready."""
        return {
            (variant, response): role.source
            for variant, spec in self.variants.items()
            for response, role in (("correct", spec.correct), ("irrelevant", spec.irrelevant))
            if isinstance(role, Given)
        }


class TaskSpec(TaskContent):
    """``tasks/<task>.yaml``."""

    title: str = Field(description="its name in figures, tables and report")
    attribution: str = Field(description="where the data are from; the report tells it")
    note: str | None = Field(default=None, description="what a reader of the report must know of these data")
    sources: dict[SafeName, Source] = Field(min_length=1, description="by a name of your choice, where the rows are")
    variants: dict[Variant, VariantSpec] = Field(min_length=1, description="by variant, where its responses come from")

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
