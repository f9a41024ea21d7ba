"""How often intervals hold the true value, and how often equal optimizers get a clear lead.

Prints the tables of docs/explanation/measures.md, in half an hour. In parentheses is the coverage
of the percentile bootstrap, whose samples vary less than new seeds do.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from deepobs_analysis.measures import (
    Interval,
    difference_interval,
    difference_p_value,
    holm,
    improvement_interval,
    interquartile_mean,
    interquartile_mean_interval,
    mean_interval,
    prediction_interval,
    share_interval,
)

Floats = NDArray[np.float64]
Draw = Callable[[tuple[int, ...]], Floats]

SEEDS = (3, 5, 10, 30)
PROBLEMS, OPTIMIZERS = 8, 4
SAMPLES, MANY = 1000, 200_000
# Standard deviations of accuracies between seeds, in test examples.
VARIATIONS = (0.3, 1.0, 3.0)
MIDDLE = f"interquartile mean, {PROBLEMS} problems"
# Problems on which normalized performances differ in level and spread.
LEVELS = np.linspace(0.4, 1.05, PROBLEMS)[:, np.newaxis]
SPREADS = np.geomspace(0.02, 0.2, PROBLEMS)[:, np.newaxis]
# Of three problems, the one with the most variation is trimmed.
UNEQUAL = {
    "interquartile mean, 3 problems, one varies": (
        np.array([[0.971], [1.0033], [1.009]]),
        np.array([[0.0135], [0.00002], [0.0042]]),
    ),
    "interquartile mean, 3 problems, one is bad": (
        np.array([[0.40], [0.987], [0.9974]]),
        np.array([[0.18], [0.002], [0.0035]]),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--repetitions", type=int, default=2000, help="of each simulation [default: 2000]"
    )
    repetitions = parser.parse_args().repetitions
    generator = np.random.default_rng(0)
    data: dict[str, Draw] = {
        "normal": generator.standard_normal,
        "log-normal, sigma 0.5": lambda shape: generator.lognormal(0, 0.5, shape),
        "log-normal, sigma 1": lambda shape: generator.lognormal(0, 1, shape),
    }
    some_fail: Draw = lambda shape: np.where(  # noqa: E731
        generator.random(shape) < 0.1, 20.0, generator.standard_normal(shape)
    )
    print_heading("interval of", "data")
    for name, draw in data.items():
        for measure, simulated in simulations(draw, generator).items():
            print_coverage(measure, name, simulated, repetitions)
    of_scores = simulations(lambda shape: -some_fail(shape), generator)  # higher is better
    print_coverage(MIDDLE, "normal, one in ten fails", of_scores[MIDDLE], repetitions)
    print_coverage(
        "share of failing seeds",
        "one in ten fails",
        lambda seeds: (lambda: share(generator, seeds), None, 0.1),
        repetitions,
    )
    for deviation in VARIATIONS:
        name = f"accuracy, {deviation:g} examples"
        for paired in (True, False):
            how = "shared seeds" if paired else "other seeds"
            found = [
                covered_accuracies(generator, deviation, n, paired, repetitions) for n in SEEDS
            ]
            print(f"| difference, {how} | {name} | {' | '.join(found)} |", flush=True)
    print()
    print_heading("said of equal optimizers", "data")
    for name, draw in {**data, "normal, one in ten fails": some_fail}.items():
        for paired in (True, False):
            how = "shared seeds" if paired else "other seeds"
            found = [false_leads(draw, seeds, paired, repetitions) for seeds in SEEDS]
            print(f"| a clear lead, {how} | {name} | {' | '.join(found)} |", flush=True)
        lucky = [false_luck(draw, seeds, repetitions) for seeds in SEEDS]
        print(f"| a lucky seed | {name} | {' | '.join(lucky)} |", flush=True)
    for deviation in VARIATIONS:
        rounded = accuracies(generator, deviation)
        for paired in (True, False):
            how = "shared seeds" if paired else "other seeds"
            found = [false_leads(rounded, n, paired, repetitions, resolution=1) for n in SEEDS]
            row = f"a clear lead, {how} | accuracy, {deviation:g} examples"
            print(f"| {row} | {' | '.join(found)} |", flush=True)


def print_heading(*first: str) -> None:
    print(f"| {' | '.join([*first, *(f'{seeds} seeds' for seeds in SEEDS)])} |")
    print(f"|{'---|' * (len(first) + len(SEEDS))}")


Simulated = tuple[Callable[[], Interval | None], Callable[[], Interval] | None, float]


def print_coverage(
    measure: str, data: str, simulated: Callable[[int], Simulated], repetitions: int
) -> None:
    cells = [coverage(*simulated(seeds), repetitions) for seeds in SEEDS]
    print(f"| {measure} | {data} | {' | '.join(cells)} |", flush=True)


def simulations(
    draw: Draw, generator: np.random.Generator
) -> dict[str, Callable[[int], Simulated]]:
    """By measure and number of seeds: an interval of new data, the bootstrap's, and the truth."""
    many = draw((4_000_000,))
    mean = float(many.mean())

    def of_mean(seeds: int) -> Simulated:
        return (
            lambda: mean_interval([draw((seeds,))]),
            lambda: percentile(resampled(draw((seeds,)), generator).mean(-1)),
            mean,
        )

    def of_difference(paired: bool) -> Callable[[int], Simulated]:
        return lambda seeds: (
            lambda: difference_interval(
                [draw((seeds,))], [draw((seeds,))], higher_is_better=True, paired=paired
            ),
            lambda: percentile(
                resampled(draw((seeds,)), generator).mean(-1)
                - resampled(draw((seeds,)), generator).mean(-1)
            ),
            0.0,
        )

    def of_middle(
        levels: Floats, spreads: Floats, *, of_many: bool = False
    ) -> Callable[[int], Simulated]:
        def simulated(seeds: int) -> Simulated:
            def scores(samples: int = 1) -> list[Floats]:
                shape = (len(levels), samples, seeds)
                return list(levels[..., np.newaxis] + spreads[..., np.newaxis] * draw(shape))

            def bootstrap() -> Interval:
                of_problems = [resampled(each[0], generator) for each in scores()]
                return percentile(interquartile_mean(of_problems))

            interval = lambda: interquartile_mean_interval([e[0] for e in scores()])  # noqa: E731
            if of_many:
                shape = (len(levels), MANY)
                return interval, None, float(interquartile_mean(levels + spreads * draw(shape)))
            return interval, bootstrap, float(interquartile_mean(scores(50_000)).mean())

        return simulated

    def of_improvement(problems: int) -> Callable[[int], Simulated]:
        return lambda seeds: (
            lambda: improvement_interval(
                list(draw((problems, seeds))), list(draw((problems, seeds))), higher_is_better=True
            ),
            None,
            0.5,
        )

    return {
        "mean": of_mean,
        "difference, shared seeds": of_difference(paired=True),
        "difference, other seeds": of_difference(paired=False),
        MIDDLE: of_middle(LEVELS, SPREADS),
        **{name: of_middle(*those) for name, those in UNEQUAL.items()},
        **{
            f"{name}, of very many seeds": of_middle(*those, of_many=True)
            for name, those in UNEQUAL.items()
        },
        "probability of improvement": of_improvement(1),
        f"probability of improvement, {PROBLEMS} problems": of_improvement(PROBLEMS),
    }


def coverage(
    interval: Callable[[], Interval | None],
    bootstrap: Callable[[], Interval] | None,
    truth: float,
    repetitions: int,
) -> str:
    def percent(draw: Callable[[], Interval | None]) -> str:
        drawn = [draw() for _ in range(repetitions)]
        return f"{100 * np.mean([each.low <= truth <= each.high for each in drawn if each]):.1f}"

    return percent(interval) if bootstrap is None else f"{percent(interval)} ({percent(bootstrap)})"


def accuracies(generator: np.random.Generator, deviation: float) -> Draw:
    """Numbers of correct examples: rounded, of equal means on each problem, the first axis."""

    def draw(shape: tuple[int, ...]) -> Floats:
        means = generator.random((shape[0], *[1] * (len(shape) - 1)))
        return np.asarray(np.round(means + deviation * generator.standard_normal(shape)))

    return draw


def covered_accuracies(
    generator: np.random.Generator, deviation: float, seeds: int, paired: bool, repetitions: int
) -> str:
    """How often the interval of a difference of accuracies with the same mean holds 0."""
    draw = accuracies(generator, deviation)

    def interval() -> Interval | None:
        own, other = draw((1, 2, seeds))[0]
        return difference_interval(
            [own], [other], higher_is_better=True, paired=paired, resolution=1
        )

    return coverage(interval, None, 0.0, repetitions)


def share(generator: np.random.Generator, seeds: int) -> Interval | None:
    return share_interval(int(generator.binomial(seeds, 0.1)), seeds)


def resampled(runs: Floats, generator: np.random.Generator) -> Floats:
    return np.asarray(runs[generator.integers(len(runs), size=(SAMPLES, len(runs)))])


def percentile(measured: Floats) -> Interval:
    low, high = np.quantile(measured, [0.025, 0.975])
    return Interval(float(low), float(high))


def false_leads(
    draw: Draw, seeds: int, paired: bool, reports: int, *, resolution: float = 0.0
) -> str:
    """The share of reports in which one of equal optimizers leads significantly."""

    def p_values(scores: Sequence[Floats]) -> list[float]:
        found = (
            difference_p_value(
                [own], [other], higher_is_better=True, paired=paired, resolution=resolution
            )
            for own, other in combinations(scores, 2)
        )
        return [each for each in found if each is not None]

    false = 0
    for _ in range(reports):
        drawn = draw((PROBLEMS, OPTIMIZERS, seeds))
        false += min(holm([p for scores in drawn for p in p_values(list(scores))])) <= 0.05
    return f"{100 * false / reports:.1f}"


def false_luck(draw: Draw, seeds: int, repetitions: int) -> str:
    """How often the first seed is better than the others predict."""
    flagged = 0
    for _ in range(repetitions):
        first, *others = draw((seeds,))
        expected = prediction_interval(others)
        flagged += expected is not None and first < expected.low
    return f"{100 * flagged / repetitions:.1f}"


if __name__ == "__main__":
    main()
