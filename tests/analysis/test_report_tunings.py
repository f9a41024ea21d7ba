"""What a report says of tuned optimizers."""

from __future__ import annotations

import pytest
from result_files import tuned_run, write_result, write_tuning

from deepobs_analysis import load
from deepobs_analysis.caveats import caveats
from deepobs_analysis.report import report
from deepobs_analysis.report_tunings import tunings_of
from deepobs_analysis.summaries import summarize

EVIL = "<script>alert(1)</script>"
PROTOCOL = {
    "preset": "crowded-valley",
    "budget": "small",
    "space": {"lr": "log:0.001:10", "momentum": "one-minus-log:0.01:1"},
    "sampler": "random",
    "sampler_seed": 7,
    "trials": 5,
    "seeds": [42],
    "select_on": "valid",
    "epoch": "best",
    "metric": "accuracy",
    "remarks": ["Another learning rate."],
}


def trial(number, status="completed", value=0.5, message="", **setting):
    return {
        "number": number,
        "setting": setting,
        "status": status,
        "value": value if status == "completed" else None,
        "runs": [tuned_run(42, f"trial{number}", value)],
        "message": message,
    }


@pytest.fixture
def tuned(tmp_path):
    """Write a tuning, and return what a report says of it."""

    def written(**changed):
        write_result(tmp_path, run_id="report43", seed=43)
        write_tuning(tmp_path, **changed)
        results = load(tmp_path)
        return tunings_of(results.tunings, "quadratic_deep"), results

    return written


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ("log:0.001:10", []),
        ("log:0.001:0.11", ["SGD on quadratic_deep: 0.1 is at the upper end of its space."]),
    ],
)
def test_the_boundary_of_a_tuned_learning_rate_is_that_of_its_space(tuned, tmp_path, space, said):
    write_result(tmp_path, run_id="trial0", seed=42, lr=0.01)
    # The largest one that was drawn, which a table without the record would warn of.
    protocol = {**PROTOCOL, "space": {"lr": space}}
    trials = [trial(0, lr=0.01), trial(1, lr=0.1, value=0.75)]
    (section,), results = tuned(protocol=protocol, trials=trials)
    found = [each for each in caveats(summarize(results)) if "boundary" in each.title]
    assert [one.text for each in found for one in each.findings] == said
    assert bool(section.at_border) == bool(said)


def test_a_tuned_optimizer_has_a_section_with_all_of_its_protocol(tuned):
    trials = [
        trial(0, lr=0.1, momentum=0.9),
        trial(1, lr=9.0, momentum=0.5, value=0.75),
        trial(2, status="diverged", lr=5.0, momentum=0.1),
        trial(3, status="failed", message="out of memory", lr=0.2, momentum=0.1),
        trial(4, lr=0.1, momentum=0.9),
    ]
    (section,), _ = tuned(protocol=PROTOCOL, trials=trials)
    assert section.optimizer == "SGD"
    assert section.facts == {
        "Preset": "crowded-valley",
        "Sampler": "random search, seed 7",
        "Budget": "small: 5 trials",
        "Trials": "3 of 5 completed, 1 diverged, 1 failed; 4 distinct configurations",
        "Selected by": "accuracy on the validation set in the best epoch",
        "Selection seeds": "42",
        "Winner": "trial 1 with 0.7500: lr = 9, momentum = 0.5",
        "Report seeds": "43 and 44",
        "The same in all trials": "momentum = 0.9, num_epochs = 2",
        "Deviations from the preset": "Another learning rate.",
    }
    assert [[cell.text for cell in row] for row in section.space.rows] == [
        ["lr", "log:0.001:10", "0.1 to 9", "9", "at the upper end"],
        ["momentum", "one-minus-log:0.01:1", "0.1 to 0.9", "0.5", "inside"],
    ]
    assert section.at_border == [
        "lr: 9 is at the upper end of its space. A better value may lie beyond."
    ]
    assert section.failures == [
        "Trial 2 (lr = 5, momentum = 0.1): diverged",
        "Trial 3 (lr = 0.2, momentum = 0.1): failed, out of memory",
    ]


@pytest.mark.parametrize(
    ("space", "chosen", "place"),
    [
        ("log:0.001:1", 0.001, "at the lower end"),
        ("log:0.001:1", 0.1, "inside"),
        ("uniform:0:1", 0.96, "at the upper end"),
        ("int:1:10", 10, "at the upper end"),
        ("one-minus-log:0.001:0.5", 0.999, "at the upper end"),
        ("one-minus-log:0.001:0.5", 0.99, "inside"),
        ([0.1, 0.2, 0.4], 0.4, "at the upper end"),
        ([0.1, 0.2, 0.4], 0.2, "inside"),
        ([True, False], True, "-"),
        (["a", "b"], "a", "-"),
        ("a space of a later release", 3, "inside"),
    ],
)
def test_the_chosen_value_is_compared_with_the_ends_of_its_space(tuned, space, chosen, place):
    protocol = PROTOCOL | {"space": {"x": space}}
    (section,), _ = tuned(protocol=protocol, trials=[trial(0, x=chosen)], winner=0)
    ((*_, value),) = section.space.rows
    assert value.text == place
    assert bool(section.at_border) == place.startswith("at the")


@pytest.mark.parametrize(("sampler", "place"), [("random", "at the upper end"), ("grid", "inside")])
def test_only_the_last_value_of_a_grid_is_at_the_end_of_its_space(tuned, sampler, place):
    protocol = PROTOCOL | {"sampler": sampler, "space": {"x": "log:1e-5:10:25"}}
    (section,), _ = tuned(protocol=protocol, trials=[trial(0, x=10**0.75)], winner=0)
    ((*_, value),) = section.space.rows
    assert value.text == place


def test_a_tuning_without_a_winner_says_so(tuned):
    trials = [trial(0, status="failed", lr=0.1, momentum=0.9)]
    (section,), _ = tuned(protocol=PROTOCOL, trials=trials, winner=None, report=[])
    assert section.facts["Winner"] == "no trial completed"
    assert section.facts["Report seeds"] == "none"
    assert section.at_border == []


def test_the_page_shows_the_section_and_escapes_it(tuned):
    trials = [trial(0, status="failed", message=EVIL, lr=EVIL), trial(1, lr=EVIL)]
    protocol = PROTOCOL | {"space": {EVIL: [EVIL, "b"]}, "remarks": [EVIL]}
    _, results = tuned(protocol=protocol, trials=trials, winner=1)
    html = report(results)
    assert "How SGD was tuned" in html
    assert "1 trial did not complete" in html
    assert EVIL not in html
