"""The rule by which one configuration represents an optimizer."""

from deepobs.representatives import best_configuration


def test_the_best_configuration_has_the_most_completed_seeds_then_the_best_mean():
    runs = [
        *[("lucky", 0.99, True), ("lucky", 0.1, False)],
        *[("good", 0.9, True), ("good", 0.8, True)],
        *[("poor", 0.7, True), ("poor", 0.7, True)],
    ]
    assert best_configuration(runs, higher_is_better=True) == "good"
    assert best_configuration(runs, higher_is_better=False) == "poor"


def test_by_the_mean_alone_a_diverged_seed_counts_as_untrained():
    runs = [("brittle", 0.9, True), ("brittle", 0.1, False), ("safe", 0.6, True)]
    best = best_configuration(runs, higher_is_better=True, most_seeds_first=False)
    assert best == "safe"


def test_of_equal_configurations_the_first_is_the_best():
    ascending = [("a", value, True) for value in (0.1, 0.2, 0.3)]
    descending = [("b", value, True) for value in (0.3, 0.2, 0.1)]
    assert best_configuration(ascending + descending, higher_is_better=True) == "a"
    assert best_configuration(descending + ascending, higher_is_better=True) == "b"
    assert best_configuration([], higher_is_better=True) is None
