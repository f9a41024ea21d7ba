"""All checks, in the order in which they are made. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepobs.plugins.catalog import import_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


@dataclass(frozen=True, slots=True)
class Check:
    """A check: a function that takes the subject, and raises where something is wrong.

    Attributes:
        name: What it finds out, a sentence in snake case; the name of the function, too.
        module: Where the function is.
        is_of_the_description: Whether it is about the description that a plugin gives, so that it
            takes something registered.
    """

    name: str
    module: str
    is_of_the_description: bool = False

    def load(self) -> Callable[[Any], None]:
        """Import the function."""
        function: Callable[[Any], None] = import_target(f"{self.module}:{self.name}", "The check")
        return function


def _checks(package: str, names: Iterable[tuple[str, str]]) -> tuple[Check, ...]:
    return tuple(
        Check(name, f"deepobs_testing.{package}.{module}", module == "description")
        for module, name in names
    )


PROBLEM_CHECKS = _checks(
    "problems",
    (
        ("description", "its_summary_says_what_it_is"),
        ("description", "its_data_set_is_registered"),
        ("description", "its_target_can_be_imported"),
        ("construction", "it_can_be_built"),
        ("construction", "its_constructor_takes_the_arguments_of_the_protocol"),
        ("construction", "bad_arguments_are_refused"),
        ("construction", "it_can_be_set_up"),
        ("construction", "set_up_is_quick_enough"),
        ("description", "its_data_set_is_the_one_it_names"),
        ("description", "its_default_batch_size_fits_its_data"),
        ("batches", "its_batches_are_tuples_of_tensors_on_the_device"),
        ("construction", "its_batches_have_the_size_that_is_asked_for"),
        ("batches", "its_loaders_are_sized_and_can_be_read_again"),
        ("batches", "its_batches_have_one_shape_and_type"),
        ("batches", "its_evaluation_batches_are_the_same_in_every_pass"),
        ("batches", "what_is_evaluated_is_the_same_for_every_seed"),
        ("batches", "test_examples_are_never_trained_on"),
        ("batches", "held_out_examples_are_never_trained_on"),
        ("batches", "held_out_examples_are_the_same_for_every_seed"),
        ("losses", "losses_are_finite_tensors"),
        ("losses", "losses_have_one_entry_per_example"),
        ("losses", "losses_sum_to_the_mean"),
        ("losses", "accuracy_is_a_fraction_or_none"),
        ("description", "its_metric_fits_its_accuracy"),
        ("effects", "the_model_has_every_parameter_of_the_loss"),
        ("gradients", "every_parameter_has_a_finite_gradient"),
        ("gradients", "gradients_agree_with_finite_differences"),
        ("effects", "the_mode_is_left_to_the_caller"),
        ("modes", "evaluation_changes_nothing"),
        ("effects", "computing_losses_has_no_other_effect"),
        ("effects", "settings_of_the_process_are_left_alone"),
        ("effects", "a_batch_can_be_evaluated_again"),
        ("modes", "evaluating_a_batch_twice_gives_the_same"),
        ("modes", "noise_in_training_follows_torchs_seed"),
        ("passes", "evaluation_does_not_depend_on_the_batch_split"),
        ("passes", "a_new_pass_starts_afresh"),
        ("determinism", "the_same_seed_gives_the_same_weights_and_batches"),
        ("determinism", "the_same_seed_gives_the_same_training"),
        ("passes", "evaluating_within_an_epoch_disturbs_nothing"),
        ("determinism", "another_seed_gives_other_weights"),
        ("determinism", "set_up_leaves_the_seed_to_the_caller"),
        ("regularizer", "the_regulariser_is_a_scalar"),
        ("regularizer", "weight_decay_sets_the_regulariser"),
        ("regularizer", "losses_leave_the_regulariser_out"),
        ("regularizer", "parameter_groups_cover_every_parameter_once"),
        ("persistence", "its_weights_can_be_saved_and_loaded"),
        ("persistence", "it_can_be_pickled"),
        ("persistence", "it_can_be_copied"),
        ("devices", "it_stays_on_the_cpu"),
        ("devices", "it_works_on_the_accelerator"),
        ("running", "the_run_loop_trains_it"),
    ),
)

DATASET_CHECKS = _checks(
    "datasets",
    (
        ("description", "its_summary_says_what_it_is"),
        ("description", "its_target_can_be_imported"),
        ("construction", "it_can_be_built"),
        ("construction", "its_constructor_takes_the_arguments_of_the_protocol"),
        ("construction", "bad_arguments_are_refused"),
        ("description", "its_name_is_that_of_its_description"),
        ("description", "its_sizes_are_those_of_its_description"),
        ("construction", "its_state_can_be_told"),
        ("construction", "embedded_data_need_no_network"),
        ("batches", "its_batches_are_tuples_of_tensors_on_the_device"),
        ("batches", "its_batches_have_the_size_that_is_asked_for"),
        ("batches", "its_loaders_are_sized_and_can_be_read_again"),
        ("batches", "its_batches_have_one_shape_and_type"),
        ("batches", "its_evaluation_batches_are_the_same_in_every_pass"),
        ("batches", "what_is_evaluated_is_the_same_for_every_seed"),
        ("batches", "a_remainder_is_dropped_or_kept_as_asked"),
        ("batches", "test_examples_are_never_trained_on"),
        ("batches", "held_out_examples_are_never_trained_on"),
        ("batches", "held_out_examples_are_the_same_for_every_seed"),
        ("batches", "the_order_of_training_follows_the_seed"),
        ("batches", "every_pass_has_a_new_order"),
        ("batches", "reshuffle_false_keeps_the_order"),
        ("construction", "building_it_leaves_the_generators_of_others_alone"),
        ("construction", "its_batches_follow_the_chosen_floating_point_type"),
        ("batches", "its_fake_twin_has_the_same_shapes"),
        ("batches", "it_works_on_the_accelerator"),
    ),
)

OPTIMIZER_CHECKS = _checks(
    "optimizers",
    (
        ("description", "its_summary_says_what_it_is"),
        ("construction", "its_target_can_be_imported"),
        ("construction", "it_can_be_built"),
        ("construction", "what_it_needs_is_found_out"),
        ("steps", "steps_change_the_parameters"),
        ("steps", "it_stays_finite_on_a_small_problem"),
        ("steps", "the_same_seed_gives_the_same_steps"),
        ("steps", "settings_of_the_process_are_left_alone"),
        ("steps", "zero_grad_clears_the_gradients"),
        ("steps", "parameters_without_a_gradient_are_survived"),
        ("steps", "a_closure_is_called"),
        ("construction", "its_groups_have_settings_of_their_own"),
        ("construction", "a_schedule_can_change_its_learning_rate"),
        ("state", "its_state_dict_goes_on_to_the_bit"),
        ("state", "an_interrupted_run_goes_on_to_the_bit"),
        ("state", "its_state_can_be_saved"),
        ("running", "the_run_loop_trains_with_it"),
    ),
)

CHECKS = {
    "test problem": PROBLEM_CHECKS,
    "data set": DATASET_CHECKS,
    "optimizer": OPTIMIZER_CHECKS,
}
"""The checks of each kind of thing."""
