"""What specifications and results are as text, and as HTML in a notebook."""

from __future__ import annotations

import deepobs
from deepobs.html_views import grid

EVIL = "<script>alert('x')</script>"


def test_a_specification_shows_what_was_asked_for():
    plain = deepobs.specify("quadratic_deep", "SGD", {"lr": 0.1}, num_epochs=2)
    assert repr(plain) == (
        "RunSpecification(testproblem='quadratic_deep', optimizer='SGD', "
        "hyperparameters={'lr': 0.1}, batch_size=128, num_epochs=2, random_seed=42)"
    )
    further = deepobs.specify("quadratic_deep", "SGD", {"lr": 0.1}, validation_size=128)
    assert "validation_size=128" in repr(further)
    assert plain.run_id in plain._repr_html_()


def test_a_result_shows_its_metrics_and_not_its_lists(tmp_path):
    result = deepobs.run(
        "quadratic_deep", "SGD", {"lr": 0.1}, num_epochs=3, output_dir=tmp_path, label=EVIL
    )
    assert len(repr(result.record)) < 400
    assert f"test_loss={result.record.test_losses[-1]!r}" in repr(result.record)
    html = result._repr_html_()
    assert f"{result.record.test_losses[0]:.6g}" in html
    assert str(result.path) in html
    assert EVIL not in html
    assert "&lt;script&gt;" in html


def test_a_diverged_run_says_so():
    record = deepobs.run("quadratic_deep", "SGD", {"lr": 1e6}, num_epochs=2).record
    assert "diverged in epoch" in record._repr_html_()


def test_every_text_of_a_table_is_escaped():
    html = grid(EVIL, (EVIL,), [(EVIL, EVIL)])
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 4
