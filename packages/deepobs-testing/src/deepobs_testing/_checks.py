"""The checks of each kind of target, in order of execution. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepobs.errors import ArgumentError, closest, sentences
from deepobs.plugins.catalog import import_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from deepobs_testing._targets import Target


@dataclass(frozen=True, slots=True)
class Check:
    """A check: a function that takes the subject and raises if something is wrong.

    Attributes:
        name: A sentence in snake case; also the name of the function.
        module: The module of the function.
    """

    name: str
    module: str

    @property
    def is_of_the_description(self) -> bool:
        """Whether it checks what a plugin declares, so that it applies to registered targets."""
        return self.module == "_descriptions"

    def load(self) -> Callable[[Any], None]:
        """Import the function."""
        return import_target(f"deepobs_testing.{self.module}:{self.name}", "The check")  # type: ignore[no-any-return]


def _checks(table: str) -> tuple[Check, ...]:
    """Read a table of modules, each followed by a colon and its checks."""
    found, module = [], ""
    for word in table.split():
        if word.endswith(":"):
            module = word.rstrip(":")
        else:
            found.append(Check(word, module))
    return tuple(found)


CHECKS: dict[str, tuple[Check, ...]] = {
    "test problem": _checks(
        """
    _descriptions: its_summary_says_what_it_is its_data_set_is_registered
        its_target_can_be_imported
    _problem_structure: it_can_be_built its_constructor_takes_the_arguments_of_the_protocol
        invalid_arguments_are_rejected it_can_be_set_up set_up_is_quick_enough
    _descriptions: its_data_set_is_the_one_it_names its_default_batch_size_fits_its_data
    _data_checks: its_batches_are_tuples_of_tensors_on_the_device
        its_batches_have_the_requested_size its_loaders_are_sized_and_can_be_read_again
        its_batches_have_one_shape_and_type its_evaluation_batches_are_the_same_in_every_pass
        what_is_evaluated_is_the_same_for_every_seed test_examples_are_never_trained_on
        held_out_examples_are_never_trained_on held_out_examples_are_the_same_for_every_seed
    _problem_losses: losses_are_finite_tensors losses_have_one_entry_per_example
        losses_sum_to_the_mean accuracy_is_a_fraction_or_none
    _descriptions: its_metric_fits_its_accuracy its_recommended_schedule_is_valid
    _problem_losses: the_model_has_every_parameter_of_the_loss
    _problem_gradients: every_parameter_has_a_finite_gradient
        gradients_agree_with_finite_differences
    _problem_losses: the_mode_is_left_to_the_caller evaluation_changes_nothing
        computing_losses_has_no_other_effect settings_of_the_process_are_left_alone
        a_batch_can_be_evaluated_again evaluating_a_batch_twice_gives_the_same
        noise_in_training_follows_torchs_seed
    _problem_training: evaluation_does_not_depend_on_the_batch_split a_new_pass_starts_from_scratch
        the_same_seed_gives_the_same_weights_and_batches the_same_seed_gives_the_same_training
        evaluating_within_an_epoch_disturbs_nothing
        recalibrating_within_an_epoch_disturbs_nothing micro_batches_add_up_to_the_batch
        another_seed_gives_other_weights
        set_up_leaves_the_seed_to_the_caller
    _problem_gradients: the_regularizer_is_a_scalar weight_decay_sets_the_regularizer
        losses_exclude_the_regularizer parameter_groups_cover_every_parameter_once
    _problem_structure: its_weights_can_be_saved_and_loaded it_can_be_pickled it_can_be_copied
        it_stays_on_the_cpu it_works_on_the_accelerator
    _problem_training: the_run_loop_trains_it
    _problem_modes: mixed_precision_keeps_its_losses_finite channels_last_changes_no_numbers
        compiling_changes_no_numbers shares_of_a_batch_add_up_to_it
    """
    ),
    "data set": _checks(
        """
    _descriptions: its_summary_says_what_it_is its_target_can_be_imported
    _dataset_checks: it_can_be_built its_constructor_takes_the_arguments_of_the_protocol
        invalid_arguments_are_rejected
    _descriptions: its_name_is_that_of_its_description its_sizes_are_those_of_its_description
    _dataset_checks: its_status_is_reported embedded_data_need_no_network
    _data_checks: its_batches_are_tuples_of_tensors_on_the_device
        its_batches_have_the_requested_size its_loaders_are_sized_and_can_be_read_again
        its_batches_have_one_shape_and_type its_evaluation_batches_are_the_same_in_every_pass
        what_is_evaluated_is_the_same_for_every_seed
    _dataset_checks: the_last_batch_is_dropped_or_kept_as_requested
    _data_checks: test_examples_are_never_trained_on held_out_examples_are_never_trained_on
        held_out_examples_are_the_same_for_every_seed
    _dataset_checks: the_order_of_training_follows_the_seed every_pass_has_a_new_order
        reshuffle_false_keeps_the_order building_it_leaves_global_rngs_alone
        its_batches_follow_the_chosen_floating_point_type its_synthetic_data_have_the_same_shapes
        it_works_on_the_accelerator
    """
    ),
    "optimizer": _checks(
        """
    _descriptions: its_summary_says_what_it_is
    _optimizer_checks: its_target_can_be_imported it_can_be_built
        it_has_the_attributes_of_an_optimizer its_step_protocol_works
        steps_change_the_parameters it_trains_all_parameters it_stays_finite_on_a_small_problem
        the_same_seed_gives_the_same_steps settings_of_the_process_are_left_alone
        zero_grad_clears_the_gradients parameters_without_a_gradient_are_skipped
        a_closure_is_called its_groups_have_their_own_learning_rate
        a_schedule_can_change_its_learning_rate its_state_dict_resumes_bit_for_bit
        an_interrupted_run_resumes_bit_for_bit its_state_can_be_saved
        the_run_loop_trains_with_it
    """
    ),
}
"""The checks of each kind of target."""


def checks_of(
    target: Target, only: Iterable[str] | None = None, skip: Iterable[str] = ()
) -> list[Check]:
    """Choose the checks of a target: all or some, without those to skip.

    Raises:
        ArgumentError: There is no such check.
    """
    names = [check.name for check in CHECKS[target.kind]]
    wanted = set(names) if only is None else _set_of(only)
    unwanted = _set_of(skip)
    for name in sorted((wanted | unwanted) - set(names)):
        raise ArgumentError(
            sentences(
                f"There is no check {name!r} of a {target.kind}.",
                closest(name, names),
                f"Available checks: {', '.join(names)}.",
            )
        )
    return [
        check
        for check in CHECKS[target.kind]
        if check.name in wanted - unwanted
        and (target.offer is not None or not check.is_of_the_description)
    ]


def applicable(kind: str, names: Iterable[str]) -> list[str]:
    """Drop names of checks that only other kinds have; `checks_of` refuses unknown ones."""
    elsewhere = {check.name for other in CHECKS for check in CHECKS[other] if other != kind}
    own = {check.name for check in CHECKS[kind]}
    return [name for name in _set_of(names) if name in own or name not in elsewhere]


def _set_of(names: Iterable[str]) -> set[str]:
    # A single name without a list around it would be taken for its letters.
    return {names} if isinstance(names, str) else set(names)
