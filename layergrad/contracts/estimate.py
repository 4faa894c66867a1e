"""How long a study takes and how much memory it needs, from what its files declare: known before any job runs."""

import math

from layergrad.contracts.config.models import ModelSpec
from layergrad.contracts.config.study import Study
from layergrad.contracts.config.tasks import TaskSpec
from layergrad.contracts.keys import Variant

_SET_UP_SECONDS = 120  # core-seconds of a study beside its gradients: downloads, data, figures, report
_LOAD_SECONDS = 10  # core-seconds to load a model, once a gradient job


def task_tokens(study: Study, model: ModelSpec, task: TaskSpec) -> int:
    """Tokens of all responses of a task with their prompts, as its file declares them."""
    return sum(spec.tokens * responses(study, model, task, variant) for variant, spec in task.variants.items())


def job_tokens(study: Study, model: ModelSpec, task: TaskSpec) -> float:
    """Tokens of one gradient job, a shard of a (model, task)."""
    return task_tokens(study, model, task) / study.gradients.shards


def job_seconds(study: Study, model: ModelSpec, task: TaskSpec) -> float:
    """Core-seconds of one gradient job."""
    return _LOAD_SECONDS + job_tokens(study, model, task) / 1000 * model.seconds_per_1000_tokens


def job_minutes(study: Study, model: ModelSpec, task: TaskSpec) -> int:
    """Run time to ask a cluster for: three times the estimate, and at least ten minutes.

    With a GPU the estimate as it is: more cores do not hasten what the GPU does, and hasten the rest.
    """
    share = 1 if model.gpus else 3 / study.gradients.threads
    return max(10, math.ceil(share * job_seconds(study, model, task) / 60))


def describe(study: Study, cores: int, memory_mb: int = 7500) -> str:
    """One paragraph for a person who is about to start a study on so many cores.

    ``memory_mb`` is what all jobs at once may take, by default as in ``profiles/default``.
    """
    if study.released:
        return (
            f"Study {study.name}: {len(study.models)} model(s), {len(study.tasks)} task(s), whose gradients are read "
            f"from {study.released}. No model is loaded; a few minutes a model."
        )
    jobs = [(m, t) for m in study.models for t in study.tasks]
    seconds = study.gradients.shards * sum(job_seconds(study, model, task) for model, task in jobs)
    largest = max(model.memory_mb for model in study.models)
    at_once = max(1, min(cores // study.gradients.threads, memory_mb // largest, len(jobs) * study.gradients.shards))
    count = sum(responses(study, model, task, variant) for model, task in jobs for variant in task.variants)
    minutes = math.ceil((seconds / (at_once * study.gradients.threads) + _SET_UP_SECONDS) / 60)
    return (
        f"Study {study.name}: {count} responses to be measured, {len(study.models)} model(s), {len(study.tasks)} "
        f"task(s). About {minutes} minutes on {cores} cores and up to {at_once * largest / 1000:.0f} GB of memory, "
        f"by the estimates that the model and task files declare."
    )


def responses(study: Study, model: ModelSpec, task: TaskSpec, variant: Variant) -> int:
    """Responses of one variant that a model is measured on, controls at their most."""
    plain = sum(task.samples_of(variant).model_dump().values())
    if model.untrained_of:
        return plain
    return plain + sum(_controlled(task, variant, control) for control in study.controls if task.gives(control))


def _controlled(task: TaskSpec, variant: Variant, control: str) -> int:
    """Responses of one control, at most: samples are nested, so the fewest of a pair have both.

    Of responses that are cut to equal length the shortest stays as it was, and is not measured again.
    """
    spec, count = task.variants[variant], task.samples_of(variant)
    pairs = min(count.correct, count.incorrect)
    match control:
        case "equal_length":
            return pairs + min(count.correct, count.irrelevant)
        case "answer_only":
            return count.correct if variant == "none" else sum(count.model_dump().values())
        case "irrelevant_shuffled":
            return 0 if variant == "none" or spec.irrelevant else count.irrelevant
        case "irrelevant_deranged":
            return count.irrelevant
    return 2 * pairs if spec.before_error or spec.after_error else 0
