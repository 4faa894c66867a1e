"""The ledger: one entry a claim. C are those of the paper, B those of its follow-up."""

import math

from layergrad.contracts.keys import KNOWLEDGE_VARIANTS, REASONING_VARIANTS
from layergrad.statistics.claims.comparisons import Farther, FartherElsewhere, Mean
from layergrad.statistics.claims.cosines import Cosines
from layergrad.statistics.claims.curves import LargestLayers, Roughness, SameShape
from layergrad.statistics.claims.descriptive import GoesWith, Peaks, Unpaired
from layergrad.statistics.claims.entry import Claim
from layergrad.statistics.claims.evidence import Group
from layergrad.statistics.claims.expectations import RATIO_MARGIN, Above, AtMost, Within
from layergrad.statistics.claims.scores import EarlyOverLast, SizeRatio, irrelevant_over_correct, ratio

NONE, SIMPLIFIED, DETAILED = (Group(variant) for variant in REASONING_VARIANTS)
UNPOPULAR, POPULAR_100, POPULAR_500, POPULAR_1000 = (Group(variant) for variant in KNOWLEDGE_VARIANTS)
IRRELEVANT = Group("detailed", "irrelevant")
SAME = Within(RATIO_MARGIN)


def _without_data(name: str, title: str, statement: str) -> Claim:
    missing = "it takes the follow-up's data (WizardLM, OpenHermes, Magpie, s1.1), which are not in the study"
    return Claim(name, title, statement, "follow-up, abstract", missing=missing)


LEDGER = (
    Claim(
        "C1",
        "Gradients are larger with less reasoning",
        "The mean nuclear norm is larger without reasoning than with simplified reasoning, and larger with that than "
        "with detailed reasoning, for every model, task and projection.",
        "paper, abstract",
        (
            Mean("none over simplified", ratio(NONE, SIMPLIFIED)),
            Mean("simplified over detailed", ratio(SIMPLIFIED, DETAILED)),
        ),
        every=True,
    ),
    Claim(
        "C2",
        "Gradients are rougher over layers with less reasoning",
        "Nuclear norms of neighbouring layers differ more (MAD) without reasoning than with simplified reasoning, and "
        "more with that than with detailed reasoning, for every model, task and projection.",
        "paper, abstract",
        (
            Roughness("MAD, none over simplified", NONE, SIMPLIFIED),
            Roughness("MAD, simplified over detailed", SIMPLIFIED, DETAILED),
        ),
        every=True,
    ),
    Claim(
        "C3",
        "Early layers have the larger gradients with little reasoning",
        "Without reasoning and with simplified reasoning the early layers have larger gradients than the last ones; "
        "with detailed reasoning the two are nearer to each other.",
        "paper, abstract",
        (
            Mean("early over last, none", EarlyOverLast(NONE)),
            Mean("early over last, simplified", EarlyOverLast(SIMPLIFIED)),
            Farther("early and last farther apart, none than detailed", EarlyOverLast(NONE), EarlyOverLast(DETAILED)),
            Farther(
                "early and last farther apart, simplified than detailed",
                EarlyOverLast(SIMPLIFIED),
                EarlyOverLast(DETAILED),
            ),
        ),
    ),
    Claim(
        "C4",
        "Without reasoning they are more than ten times as rough",
        "The MAD without reasoning is more than ten times that with detailed reasoning.",
        "a note on the paper, from AQuA on Qwen2-1.5B",
        (Roughness("MAD, none over detailed", NONE, DETAILED, Above(math.log(10))),),
        note="The paper's number is of one task and model; here it is asked of all.",
    ),
    Claim(
        "C5",
        "Irrelevant reasoning has larger and rougher gradients",
        "With detailed reasoning, irrelevant responses have a larger mean nuclear norm and a larger MAD than correct "
        "ones, for every model, task and projection.",
        "paper, abstract (that they can be told apart); a note on it (which is larger)",
        (
            Mean("irrelevant over correct, detailed", irrelevant_over_correct("detailed")),
            Roughness("MAD, irrelevant over correct, detailed", IRRELEVANT, DETAILED),
        ),
        every=True,
        note="Of the two readings the one that says every is taken.",
    ),
    Claim(
        "C6",
        "Without reasoning irrelevant answers look like correct ones",
        "Without reasoning, irrelevant and correct answers have gradients of the same size, and they are farther apart "
        "with detailed reasoning.",
        "paper, abstract",
        (
            Mean("irrelevant over correct, none", irrelevant_over_correct("none"), SAME),
            Farther(
                "irrelevant and correct farther apart, detailed than none",
                irrelevant_over_correct("detailed"),
                irrelevant_over_correct("none"),
            ),
        ),
    ),
    Claim(
        "C7",
        "Irrelevant reasoning shows in the first layers",
        "With detailed reasoning, the five layers where correct and irrelevant responses differ most are layers 0 to "
        "4.",
        "a note on the paper",
        (LargestLayers("irrelevant against correct, detailed", IRRELEVANT, DETAILED),),
        note="Supported needs all five in 95 % of the bootstrap draws; where the two are not farther apart than 95 % "
        "of random swaps there is nothing to place.",
    ),
    Claim(
        "C8",
        "Instruction tuning does not help to tell irrelevant reasoning",
        "With detailed reasoning, a tuned model sets irrelevant responses no farther above correct ones than its base "
        "model.",
        "paper, abstract",
        (
            Mean(
                "irrelevant over correct, detailed, instruct over base",
                SizeRatio((IRRELEVANT, DETAILED.of_base()), (DETAILED, IRRELEVANT.of_base())),
                AtMost(RATIO_MARGIN),
            ),
        ),
        note="Not better is tested against a margin, for that a difference is not significant shows nothing.",
    ),
    Claim(
        "C9",
        "A base model is less affected by fast thinking",
        "Without reasoning and with simplified reasoning, mean nuclear norm and MAD are larger in a tuned model than "
        "in its base model.",
        "paper, abstract of the first version only",
        (
            Mean("none, instruct over base", ratio(NONE, NONE.of_base())),
            Mean("simplified, instruct over base", ratio(SIMPLIFIED, SIMPLIFIED.of_base())),
            Roughness("MAD, none, instruct over base", NONE, NONE.of_base()),
            Roughness("MAD, simplified, instruct over base", SIMPLIFIED, SIMPLIFIED.of_base()),
        ),
    ),
    Claim(
        "C10",
        "Length alone does not smooth the gradients",
        "On texts of knowledge the MAD does not change with their length, from 100 over 500 to 1000 tokens.",
        "paper, abstract; a note on it (no significant change)",
        (
            Roughness("MAD, popular_100 over popular_500", POPULAR_100, POPULAR_500, SAME),
            Roughness("MAD, popular_500 over popular_1000", POPULAR_500, POPULAR_1000, SAME),
            Roughness("MAD, popular_100 over popular_1000", POPULAR_100, POPULAR_1000, SAME),
        ),
        note="No change is asked for, not merely less of it than reasoning brings.",
    ),
    Claim(
        "C11",
        "Irrelevant knowledge looks like correct knowledge",
        "On texts of knowledge, irrelevant and correct responses have gradients of the same size, nearer to each other "
        "than with detailed reasoning.",
        "paper, abstract; a note on it",
        (
            *(
                Mean(f"irrelevant over correct, {variant}", irrelevant_over_correct(variant), SAME)
                for variant in KNOWLEDGE_VARIANTS
            ),
            *(
                FartherElsewhere(
                    f"irrelevant and correct farther apart, detailed than {variant}",
                    irrelevant_over_correct("detailed"),
                    irrelevant_over_correct(variant),
                )
                for variant in KNOWLEDGE_VARIANTS
            ),
        ),
    ),
    Claim(
        "C12",
        "Popular against unpopular knowledge",
        "Popular and unpopular articles are compared; which of them the paper found larger is not known.",
        "paper, scope",
        (Unpaired("popular_100 over unpopular", POPULAR_100, UNPOPULAR),),
        descriptive=True,
    ),
    Claim(
        "C13",
        "The shape of the curves depends on the family of models",
        "Curves of Gemma 2 have two peaks, those of Qwen2 one, those of Llama 3 none that is clear.",
        "a note on the paper",
        tuple(Peaks(group.variant, group) for group in (NONE, SIMPLIFIED, DETAILED)),
        descriptive=True,
    ),
    Claim(
        "C14",
        "Detailed reasoning is nearer to what the model was trained on",
        "The paper explains its findings by it and does not test it. What is shown here is how the size of a "
        "response's gradients goes with its loss and its length.",
        "a note on the paper",
        tuple(GoesWith(group.variant, group) for group in (NONE, SIMPLIFIED, DETAILED)),
        descriptive=True,
    ),
    _without_data(
        "B1",
        "Better instructions have smaller gradients",
        "For each quality metric and pool of instructions, the nuclear norm is smaller at high than at low quality.",
    ),
    _without_data(
        "B2",
        "Better instructions have a higher effective rank",
        "For each quality metric and pool of instructions, the effective rank is higher at high than at low quality.",
    ),
    _without_data(
        "B3",
        "Effective rank tells quality better than the nuclear norm",
        "The effective rank separates high from low quality in more cells than the nuclear norm does.",
    ),
    _without_data(
        "B4",
        "Reasoning data have the highest effective rank",
        "The effective rank of reasoning data is higher than that of instructions, and highest for s1.1.",
    ),
    Claim(
        "B5",
        "Curves look alike over the sizes of a family",
        "Within a family of models the layer curves agree across sizes; across families they do not.",
        "follow-up, abstract",
        (
            *(SameShape(f"one family, {group.variant}", group, True) for group in (NONE, SIMPLIFIED, DETAILED)),
            *(SameShape(f"two families, {group.variant}", group, False) for group in (NONE, SIMPLIFIED, DETAILED)),
        ),
    ),
    Claim(
        "B6",
        "Gradients of different matrices are unrelated",
        "Cosines between the gradients of q and o, of k and v, and of neighbouring layers are near 0 for all "
        "responses, and do not separate their quality.",
        "follow-up, abstract",
        (
            Cosines("cosines"),
            Cosines("cosines, irrelevant less correct", of_differences=True),
        ),
        note="Near 0 is asked of every layer, and for quality stand correct and irrelevant responses.",
    ),
    Claim(
        "B7",
        "Effective rank rises with more reasoning",
        "The effective rank is higher with detailed than with simplified reasoning, and higher with that than without.",
        "follow-up, a summary of it",
        (
            Mean("detailed over simplified", ratio(DETAILED, SIMPLIFIED, "effective_rank")),
            Mean("simplified over none", ratio(SIMPLIFIED, NONE, "effective_rank")),
        ),
    ),
)
