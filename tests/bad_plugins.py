"""Faulty plugins as data: the mistake of each, and the expected message.

Every plugin is from the distribution `acme-obs` 1.0, whose plugin is the module `acme_obs`; its
components are in the module `acme_parts`. Plugins that end the process, by `os._exit` or a crash in
native code, are not included: nothing in the same process survives them.
"""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from plugin_sources import PREAMBLE, offering

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    CommandLine = Callable[..., tuple[int, str, str]]

CULPRIT = "acme-obs"
SHORT = ("SGD", "--lr", "0.01", "--epochs", "0", "--batch-size", "500", "--device", "cpu")


SOUND = offering("acme_bowl")

TRAIN = ("run", "acme_bad", "SGD", "--lr", "0.01", "--epochs", "1", "--batch-size", "500")
"""Trains on the bad problem, in a moment."""


@dataclass(frozen=True, kw_only=True)
class BadPlugin:
    """A plugin with a mistake.

    Attributes:
        source: The module `acme_obs`.
        says: A part of the message about it; that must name `acme-obs`, too.
        command: What brings the mistake to light.
        code: The exit code of that.
        parts: The module `acme_parts`.
        entry_points: The file of entry points.
        metadata: The file METADATA, `None` for a sound one.
        files: Further files where the command is called.
    """

    source: str = SOUND
    says: str
    command: tuple[str, ...] = ("plugins",)
    code: int = 1
    parts: str = ""
    entry_points: str = "[deepobs]\nacme = {module}\n"
    metadata: bytes | None = None
    files: Mapping[str, str] = field(default_factory=dict)


def _hook(kind: str, body: str) -> str:
    """A valid plugin with one additional hook."""
    return f"{SOUND}\n@hookimpl\ndef deepobs_{kind}():\n{textwrap.indent(body, '    ')}\n"


LEFT_OUT = {
    "it raises in its import": BadPlugin(source="raise OSError(5)", says="OSError: 5"),
    "it imports what is not there": BadPlugin(
        source="import no_such_module_of_acme",
        says="ModuleNotFoundError: No module named 'no_such_module_of_acme'",
    ),
    "it is no Python": BadPlugin(source="def", says="SyntaxError: invalid syntax"),
    "it is no text": BadPlugin(source="\0", says="null bytes"),
    "it calls sys.exit": BadPlugin(
        source="import sys; sys.exit('no licence')", says="SystemExit: no licence"
    ),
    "its error cannot be shown": BadPlugin(
        source="class Odd(Exception):\n    def __str__(self): return self.nothing\nraise Odd",
        says="Odd: (its message cannot be shown)",
    ),
    "its error controls the terminal": BadPlugin(
        source="raise RuntimeError('\\x1b[2Jgone\\nnext')", says=r"RuntimeError: \x1b[2Jgone next"
    ),
    "it recurses without end": BadPlugin(
        source="def again(): again()\nagain()", says="RecursionError"
    ),
    "it asks for the registry in its import": BadPlugin(
        source="from deepobs.plugins import registry\nregistry().problems.names()",
        says="asked for the registry while plugins are loaded",
    ),
    "it states no API version": BadPlugin(
        source=SOUND.replace("DEEPOBS_API_VERSION = 1", ""),
        says="Add the line DEEPOBS_API_VERSION = 1",
    ),
    "it was written for another API version": BadPlugin(
        source=SOUND.replace("DEEPOBS_API_VERSION = 1", "DEEPOBS_API_VERSION = 99"),
        says="written for version 99 of the plugin interface, but the installed deepobs-core has "
        "version 1",
    ),
    "a hook raises": BadPlugin(
        source=_hook("datasets", "raise RuntimeError('out of cheese')"),
        says="RuntimeError: out of cheese",
    ),
    "a hook calls sys.exit": BadPlugin(
        source=_hook("datasets", "import sys; sys.exit(2)"), says="SystemExit: 2"
    ),
    "a marked hook is unknown": BadPlugin(
        source=_hook("dataset", "return []"),
        says="There is no hook 'deepobs_dataset'. Did you mean 'deepobs_datasets'",
    ),
    "an unmarked hook is unknown": BadPlugin(
        source=SOUND + "def deepobs_sets():\n    return []", says="There is no hook 'deepobs_sets'"
    ),
    "a hook is not marked": BadPlugin(
        source=SOUND + "def deepobs_datasets():\n    return []",
        says="deepobs_datasets is not marked with deepobs.plugins.hookimpl",
    ),
    "a hook asks for what it is not given": BadPlugin(
        source=SOUND + "@hookimpl\ndef deepobs_datasets(register):\n    return []",
        says="'register'",
    ),
    "a description is invalid": BadPlugin(
        source=_hook(
            "datasets",
            "return [DatasetSpec(name='a b', target='a:b', summary='', train_size=1, test_size=1)]",
        ),
        says="DatasetSpec 'a b' has name 'a b'. It must be",
    ),
    "a description lacks a part": BadPlugin(
        source=_hook("suites", "return [SuiteSpec(name='acme', summary='')]"), says="'problems'"
    ),
    "a summary has two lines": BadPlugin(
        source=_hook("suites", "return [SuiteSpec(name='a', summary='1\\n2', problems=['b'])]"),
        says="It must be a line of text",
    ),
    "a hook returns None": BadPlugin(
        source=_hook("datasets", "[]"),
        says="deepobs_datasets returns None. It must return a list of DatasetSpec",
    ),
    "a hook returns a number": BadPlugin(
        source=_hook("datasets", "return 3"), says="deepobs_datasets returns 3. It must return"
    ),
    "a hook returns a text": BadPlugin(
        source=_hook("datasets", "return 'acme'"),
        says="deepobs_datasets offers 'a', which is no DatasetSpec",
    ),
    "a hook returns a dictionary": BadPlugin(
        source=_hook("datasets", "return {'name': 'acme'}"),
        says="deepobs_datasets offers 'name', which is no DatasetSpec",
    ),
    "a hook returns one description": BadPlugin(
        source=_hook("suites", "return SuiteSpec(name='acme', summary='', problems=['acme_bowl'])"),
        says="deepobs_suites returns SuiteSpec(",
    ),
    "a hook returns descriptions of another kind": BadPlugin(
        source=_hook("datasets", "return [problem('acme_rest')]"), says="which is no DatasetSpec"
    ),
    "a hook returns names": BadPlugin(
        source=_hook("datasets", "return ['acme']"),
        says="deepobs_datasets offers 'acme', which is no DatasetSpec",
    ),
    "a generator fails halfway": BadPlugin(
        source=_hook(
            "suites",
            "yield SuiteSpec(name='acme', summary='', problems=['acme_bowl'])\n"
            "raise RuntimeError('halfway')",
        ),
        says="RuntimeError: halfway",
    ),
    "a name is offered twice": BadPlugin(
        source=PREAMBLE + "@hookimpl\ndef deepobs_problems():\n"
        "    return [problem('acme_bowl'), problem('acme_bowl')]",
        says="deepobs_problems offers 'acme_bowl' twice",
    ),
    "its entry point names an attribute that is not there": BadPlugin(
        entry_points="[deepobs]\nacme = {module}:plugin\n",
        says="module 'acme_obs' has no attribute 'plugin'",
    ),
    "its entry point names a module that is not there": BadPlugin(
        entry_points="[deepobs]\nacme = acme_gone\n", says="'acme_gone'"
    ),
    "its entry point is no import string": BadPlugin(
        entry_points="[deepobs]\nacme = acme obs!\n", says="acme obs!"
    ),
    "its entry points cannot be read": BadPlugin(
        entry_points="[deepobs]\nacme acme_obs\n", says="Its entry points cannot be read"
    ),
    "its entry point names a number": BadPlugin(
        source="plugin = 7",
        entry_points="[deepobs]\nacme = {module}:plugin\n",
        says="does not state the plugin interface",
    ),
}
"""Plugins that cannot be loaded: `deepobs plugins` says why."""

_PARTS = """
import torch
from torch import nn
from deepobs.data.generated import Quadratic
from deepobs.problems.synthetic import QuadraticDeep
"""


def _offering(kind: str, spec: str) -> str:
    return (
        f"from deepobs.plugins import CommandSpec, ExecutorSpec, OptimizerSpec\n{PREAMBLE}\n"
        f"@hookimpl\ndef deepobs_{kind}():\n    return [{spec}]\n"
    )


def _problem(body: str, says: str, *, code: int = 2) -> BadPlugin:
    """A plugin with a problem whose class has this body, or is what stands there."""
    is_class = body.startswith(("def ", "@"))
    made = f"class Bad(QuadraticDeep):\n{textwrap.indent(body, '    ')}" if is_class else body
    source = _offering("problems", "problem('acme_bad', 'acme_parts:Bad')")
    return BadPlugin(source=source, parts=_PARTS + made, says=says, command=TRAIN, code=code)


def _data_set(body: str, says: str, *, code: int = 2) -> BadPlugin:
    """A plugin with a data set whose class is made by this code, and a problem that uses it."""
    source = (
        _offering(
            "datasets",
            "DatasetSpec(name='acme_data', target='acme_parts:Bad', summary='', train_size=1000, "
            "test_size=1000)",
        )
        + "@hookimpl\ndef deepobs_problems():\n"
        "    return [ProblemSpec(name='acme_bad', summary='', dataset='acme_data', batch_size=8,"
        " epochs=1, target='deepobs.problems.synthetic:QuadraticDeep')]\n"
    )
    return BadPlugin(source=source, parts=_PARTS + body, says=says, command=TRAIN, code=code)


def _other(kind: str, spec: str, parts: str, says: str, *command: str, code: int = 2) -> BadPlugin:
    source = _offering(kind, f"{spec}(name='acme-bad', target='acme_parts:bad', summary='')")
    if spec != "CommandSpec":
        source = source.replace("acme-bad", "acme_bad")
    return BadPlugin(source=source, parts=parts, says=says, command=command, code=code)


_WITH_OPTIMIZER = ("run", "quadratic_deep", "acme_bad", "--epochs", "1", "--batch-size", "500")
_WITH_EXECUTOR = ("bench", "experiment.toml", "--no-estimate", "--executor", "acme_bad")
_EXPERIMENT = {
    "experiment.toml": "problems = ['two_d_beale']\nseeds = [1]\n"
    "[defaults]\nepochs = 0\n[optimizers.SGD]\nhyperparameters = {lr = 0.1}\n"
}

_YIELDING = """
class Bad(Quadratic):
    def evaluation_loader(self, examples, *, drop_remainder):
        class Loader:
            def __len__(self): return 2
            def __iter__(self):
                {body}
        return Loader()
"""

IN_USE = {
    "the module of a problem is not there": BadPlugin(
        source=_offering("problems", "problem('acme_bad', 'acme_gone:Bad')"),
        says="cannot be imported from 'acme_gone:Bad': ModuleNotFoundError",
        command=TRAIN,
        code=2,
    ),
    "the class of a problem is not there": _problem("Good = 1", "has no attribute 'Bad'"),
    "the module of a problem raises": _problem(
        "raise RuntimeError('rusty')", "RuntimeError: rusty"
    ),
    "the module of a problem calls sys.exit": _problem("import sys; sys.exit(3)", "SystemExit: 3"),
    "a problem is no class": _problem("Bad = 7", "is 7. It must be a class"),
    "a problem takes no arguments": _problem(
        "class Bad:\n    pass", "cannot be called as Bad(..., ..., ...)"
    ),
    "a problem has no set_up": _problem(
        "class Bad:\n    def __init__(self, batch_size, weight_decay=None, device=None): pass",
        "has no method set_up",
    ),
    "set_up raises": _problem(
        "def set_up(self): raise RuntimeError('rusty')",
        "in code of acme-obs 1.0: RuntimeError: rusty",
        code=1,
    ),
    "set_up makes no model": _problem(
        "def build_model(self): return nn.Identity()\n"
        "def set_up(self):\n    super().set_up()\n    self.model = None",
        "has the model None. set_up must make a torch.nn.Module",
    ),
    "a model has no parameters": _problem(
        "def build_model(self): return nn.Identity()", "without a parameter to train, Identity"
    ),
    "losses are not averaged": _problem(
        "def get_batch_loss_and_accuracy(self, batch, reduction='none'):\n"
        "    return super().get_batch_loss_and_accuracy(batch, 'none')",
        "has the loss of shape (500,) and type torch.float32 for a batch with reduction='mean'",
    ),
    "losses are no tensors": _problem(
        "def get_batch_loss_and_accuracy(self, batch, reduction='none'): return 'low', None",
        "has the loss 'low'",
    ),
    "a loss raises": _problem(
        "def batch_losses(self, batch, reduction): return self.nothing",
        "in code of acme-obs 1.0: AttributeError",
        code=1,
    ),
    "accuracies are percentages": _problem(
        "def accuracy(self, outputs, batch): return torch.tensor(93.0)",
        "has the accuracy 93. It must be from 0 to 1",
    ),
    "a problem names a data set that is not there": BadPlugin(
        source=_offering("problems", "problem('acme_bad')").replace(
            'dataset="quadratic"', 'dataset="acme_gone"'
        ),
        says="There is no data set 'acme_gone'",
        command=TRAIN,
        code=2,
    ),
    "a data set takes no arguments": _data_set(
        "class Bad: pass", "cannot be called as Bad(..., device=..."
    ),
    "a data set lacks a split": _data_set(
        "class Bad(Quadratic):\n    def __init__(self, *args, **more):\n"
        "        super().__init__(*args, **more)\n        del self.test_loader",
        "has no iterable test_loader",
    ),
    "a loader is empty": _data_set(
        _YIELDING.format(body="return iter(())"), "has a loader that yields nothing"
    ),
    "a loader yields texts": _data_set(
        _YIELDING.format(body="yield 'nonsense'"), "has a loader that yields 'nonsense'"
    ),
    "a loader fails halfway": _data_set(
        _YIELDING.format(body="raise EOFError('half a picture')"),
        "in code of acme-obs 1.0: EOFError: half a picture",
        code=1,
    ),
    "an optimizer is none": _other(
        "optimizers", "OptimizerSpec", "bad = 7", "must be a subclass", *_WITH_OPTIMIZER
    ),
    "an optimizer raises in its step": _other(
        "optimizers",
        "OptimizerSpec",
        "import torch\nclass bad(torch.optim.SGD):\n"
        "    def step(self, closure=None): raise RuntimeError('rusty')",
        "RuntimeError: rusty",
        *_WITH_OPTIMIZER,
        code=1,
    ),
    "a command is none": _other(
        "commands", "CommandSpec", "bad = 7", "is 7. It must be a click.Command", "acme-bad"
    ),
    "the module of a command raises": _other(
        "commands", "CommandSpec", "raise RuntimeError('rusty')", "RuntimeError: rusty", "acme-bad"
    ),
    "a command raises": _other(
        "commands",
        "CommandSpec",
        "import click\n@click.command()\ndef bad(): raise RuntimeError('rusty')",
        "failed in code of acme-obs 1.0: RuntimeError: rusty",
        "acme-bad",
        code=1,
    ),
}
"""Plugins whose parts fail when they are used."""

IN_SWEEPS = {
    "an executor is none": replace(
        _other("executors", "ExecutorSpec", "bad = 7", "is 7. It must be", *_WITH_EXECUTOR),
        files=_EXPERIMENT,
    ),
    "an executor cannot be made": replace(
        _other(
            "executors",
            "ExecutorSpec",
            "def bad(options): raise RuntimeError('rusty')",
            "in code of acme-obs 1.0: RuntimeError: rusty",
            *_WITH_EXECUTOR,
            code=1,
        ),
        files=_EXPERIMENT,
    ),
    "an executor makes nothing": replace(
        _other(
            "executors", "ExecutorSpec", "def bad(options): pass", "returns None", *_WITH_EXECUTOR
        ),
        files=_EXPERIMENT,
    ),
    "a suite names problems that are not there": BadPlugin(
        source=_hook(
            "suites", "return [SuiteSpec(name='acme', summary='', problems=['acme_gone'])]"
        ),
        says="cannot be used. Not installed of acme: acme_gone.",
        command=("bench", "suite.toml"),
        code=2,
        files={"suite.toml": "suites = ['acme']\nseeds = [1]\n[optimizers.SGD]\n"},
    ),
}
"""What fails when many runs use it, which takes deepobs-bench."""

HARMLESS = {
    "it prints in its import": SOUND + "print('welcome to acme')",
    "it prints without end": SOUND + "for _ in range(20000): print('welcome to acme' * 4)",
    "it makes warnings errors": SOUND + "import warnings; warnings.simplefilter('error')",
    "it seeds Python": SOUND + "import random; random.seed(0)",
    "it has a name that is no ASCII": offering("acme_schüssel"),
    "its summary controls the terminal": SOUND.replace('"Ours"', r'"\x1b[2JOurs"'),
    "its attributes are made when asked for, and fail": SOUND
    + "def __getattr__(name): raise RuntimeError('no ' + name)",
    "it replaces a command": SOUND
    + "from deepobs.plugins import CommandSpec\n@hookimpl\ndef deepobs_commands():\n"
    "    return [CommandSpec(name='list', target='acme_gone:command', summary='')]",
    "it observes, and changes what it is told": SOUND
    + "@hookimpl\ndef deepobs_epoch_ended(metrics): metrics.clear()\n"
    "@hookimpl\ndef deepobs_run_ended(record): record.test_losses.clear()",
    "it observes slowly": SOUND
    + "import time\n@hookimpl\ndef deepobs_epoch_ended(metrics): time.sleep(0.02)",
}
"""Plugins with bad manners that can be used: nothing is wrong with the process afterwards."""


def assert_others_are_usable(command_line: CommandLine) -> None:
    """Problems of other packages are listed and trained."""
    code, out, _ = command_line("list", "problems", "--json")
    assert code == 0
    assert {"quadratic_deep", "zeta_bowl"} <= {each["name"] for each in json.loads(out)}
    code, out, err = command_line("run", "zeta_bowl", *SHORT)
    assert code == 0, err
    assert "SGD on zeta_bowl" in out


def assert_named(
    plugin: BadPlugin, install_bad: Callable[[BadPlugin], None], command_line: CommandLine
) -> None:
    """A part of a plugin that fails is named with its distribution, and others are usable."""
    install_bad(plugin)
    code, _, err = command_line(*plugin.command)
    assert code == plugin.code, err
    (message,) = [line for line in err.splitlines() if line.startswith("Error: ")]
    assert plugin.says in message
    assert CULPRIT in message
    assert ("Traceback" in err) == (plugin.code == 1), err  # limited to the plugin's code
    assert_others_are_usable(command_line)
