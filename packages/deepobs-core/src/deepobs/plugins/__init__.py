"""How installed packages find each other: specifications, hooks and the registry."""

from deepobs.plugins.catalog import Offer
from deepobs.plugins.hookspecs import API_VERSION, hookimpl
from deepobs.plugins.installed import Plugin
from deepobs.plugins.registration import register
from deepobs.plugins.registry import Registry, registry
from deepobs.plugins.specs import (
    CommandSpec,
    DatasetSpec,
    ExecutorSpec,
    OptimizerSpec,
    PlotSpec,
    ProblemSpec,
    RunnerSpec,
    SuiteSpec,
    TrackerSpec,
)

__all__ = [
    "API_VERSION",
    "CommandSpec",
    "DatasetSpec",
    "ExecutorSpec",
    "Offer",
    "OptimizerSpec",
    "PlotSpec",
    "Plugin",
    "ProblemSpec",
    "Registry",
    "RunnerSpec",
    "SuiteSpec",
    "TrackerSpec",
    "hookimpl",
    "register",
    "registry",
]
