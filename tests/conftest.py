"""Fixtures for all tests; nothing here imports torch."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bad_plugins import BadPlugin
    from plugin_sources import Install

    from deepobs.plugins import Registry
    from deepobs.problems import Problem

    Complete = Callable[..., list[str]]

_SHARED = Path(__file__).resolve().parents[2] / "shared"

# Shells start what runs in their background with Ctrl-C ignored, and all children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The directory of reference data beside a checkout."""
    if not (_SHARED / "reference").is_dir():
        pytest.skip("the reference data are not beside this checkout (../shared/reference)")
    return _SHARED


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """The data directory of a test, not created yet."""
    return tmp_path / "data"


@pytest.fixture(autouse=True)
def isolated_settings(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every test its own data directory and no settings from outside."""
    variables = ("FAKE_DATA", "NUM_WORKERS", "PLUGINS", "STRICT_PLUGINS")
    for variable in (f"DEEPOBS_{name}" for name in variables):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DEEPOBS_DATA_DIR", str(data_dir))
    monkeypatch.setenv("DEEPOBS_CACHE_DIR", str(data_dir.parent / "cache"))
    from deepobs import config

    monkeypatch.setattr(config, "_settings", config._Settings())


@pytest.fixture
def set_up() -> Callable[..., Problem]:
    """Sets up a problem by its name, on the CPU and with synthetic data."""
    from deepobs import config
    from deepobs.plugins import registry

    config.set_fake_data(0.01)

    def build(name: str, batch_size: int = 4, **arguments: Any) -> Problem:
        problem = registry().problems.load(name)(batch_size, device="cpu", **arguments)
        problem.set_up()
        return problem

    return build


class Mirror:
    """A real HTTP server on this machine.

    Attributes:
        url: Its address, ending in a slash.
        files: What it offers, by name.
        stalled: Names of files of which it sends half and then waits until `resume` is set.
        cut: Names of files of which it sends half and then hangs up.
        requests: The names that were asked for.
        half_sent: Set once half of a stalled file is out.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.stalled: set[str] = set()
        self.cut: set[str] = set()
        self.requests: list[str] = []
        self.half_sent = threading.Event()
        self.resume = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        """Release waiting clients, and stop."""
        self.resume.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.removeprefix("/")
                mirror.requests.append(name)
                if name not in mirror.files:
                    self.send_error(404)
                    return
                content = mirror.files[name]
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                half = len(content) // 2
                with contextlib.suppress(ConnectionError):  # the client may be killed
                    self.wfile.write(content[:half])
                    if name in mirror.cut:
                        return
                    if name in mirror.stalled:
                        self.wfile.flush()
                        mirror.half_sent.set()
                        mirror.resume.wait(60)
                    self.wfile.write(content[half:])

            def log_message(self, *_arguments: object) -> None:
                """Keep quiet."""

        return Handler


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """An HTTP server that files can be downloaded from."""
    monkeypatch.setenv("no_proxy", "*")
    server = Mirror()
    yield server
    server.close()


OWN_OPTIMIZERS = """
import torch

class Working(torch.optim.SGD):
    pass

class BrokenStep(torch.optim.SGD):
    def step(self, closure=None):
        self.no_such_buffer.zero_()

class NoOptimizer:
    pass
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a distribution of one module, as an installer lays it out: three files."""
    before = set(sys.modules)

    def write(
        distribution: str,
        source: str,
        *,
        version: str = "1.0",
        entry_points: str = "[deepobs]\nacme = {module}\n",
    ) -> Path:
        module = distribution.replace("-", "_")
        directory = tmp_path / "installed" / distribution
        metadata = directory / f"{module}-{version}.dist-info"
        metadata.mkdir(parents=True)
        (directory / f"{module}.py").write_text(source, encoding="utf-8")
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n", encoding="utf-8"
        )
        (metadata / "entry_points.txt").write_text(
            entry_points.format(module=module), encoding="utf-8"
        )
        monkeypatch.syspath_prepend(directory)
        return directory

    yield write
    # A registry that was made meanwhile would offer the plugins to all later tests.
    registries = sys.modules.get("deepobs.plugins.registry")
    known = getattr(registries, "_registry", None)
    if known is not None and any(one.file.startswith(str(tmp_path)) for one in known.plugins):
        monkeypatch.undo()
        registries._registry = None
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def fresh_registry(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Registry]:
    """`registry()` in a process that has not discovered any plugin yet."""
    from deepobs.plugins import registry

    module = sys.modules[registry.__module__]
    monkeypatch.setattr(module, "_registry", None)
    return registry


@pytest.fixture
def command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Calls `deepobs` in an empty directory: exit code, standard output and standard error."""
    from deepobs.cli.main import main

    monkeypatch.chdir(tmp_path)

    def call(*args: str) -> tuple[int, str, str]:
        code = main(list(args))
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def own_optimizers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module in the directory in which `command_line` is called."""
    name = "own_optimizers_of_a_test"
    (tmp_path / f"{name}.py").write_text(OWN_OPTIMIZERS, encoding="utf-8")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, name, raising=False)
    return name


ASKING = """
import json, os, sys
from deepobs.cli.main import main

for words in json.loads(os.environ["TYPED"]):
    is_fish = os.environ["_DEEPOBS_COMPLETE"].startswith("fish")
    os.environ["COMP_WORDS"] = " ".join(["deepobs", *words])
    os.environ["COMP_CWORD"] = words[-1] if is_fish else str(len(words))
    main()
sys.exit("torch was imported" if "torch" in sys.modules else 0)
"""


@pytest.fixture
def complete(tmp_path: Path) -> Complete:
    """Requests completions like a shell, in a new process: the offered words."""

    def ask(*typed: list[str], directory: Path | None = None, form: str = "bash") -> list[str]:
        variables = {**os.environ, "PYTHONPATH": str(directory or ""), "TYPED": json.dumps(typed)}
        variables["_DEEPOBS_COMPLETE"] = f"{form}_complete"
        done = subprocess.run(
            [sys.executable, "-c", ASKING],
            capture_output=True,
            text=True,
            env=variables,
            cwd=tmp_path,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    return ask


@pytest.fixture
def install_bad(
    install: Install, tmp_path: Path, fresh_registry: Callable[[], Registry]
) -> Callable[[BadPlugin], None]:
    """Installs a bad plugin beside a good one, in a process that has not looked for any yet."""
    del fresh_registry
    from plugin_sources import offering

    install("zeta-obs", offering("zeta_bowl"))

    def install_it(plugin: BadPlugin) -> None:
        directory = install("acme-obs", plugin.source, entry_points=plugin.entry_points)
        if plugin.parts:
            (directory / "acme_parts.py").write_text(plugin.parts, encoding="utf-8")
        if plugin.metadata is not None:
            (directory / "acme_obs-1.0.dist-info" / "METADATA").write_bytes(plugin.metadata)
        for name, content in plugin.files.items():
            (tmp_path / name).write_text(content, encoding="utf-8")

    return install_it
