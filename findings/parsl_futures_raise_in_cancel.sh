#!/usr/bin/env bash
# Futures of parsl's ParslPoolExecutor are concurrent.futures.Future, but their cancel() raises.
#
# parsl 2026.10.26, Python 3.11. ParslPoolExecutor is a concurrent.futures.Executor, "modeled after
# Python's concurrent library", and what submit() returns is an instance of
# concurrent.futures.Future. cancel() of a call that waits in the queue raises NotImplementedError,
# where the base class promises True or False and never raises. Code for any executor that cancels
# what is left, in `finally` or after an error, then ends with NotImplementedError in place of that
# error. Another way in: asyncio.wait_for(asyncio.wrap_future(future), ...) raises its TimeoutError,
# and the NotImplementedError goes to the exception handler of the event loop.
#
# Expected by most: False, "the call cannot be canceled", as for a call that is running already.
# Remedy: suppress NotImplementedError around cancel().
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet parsl==2026.10.26
cat > canceled.py <<'PYTHON'
import asyncio
import concurrent.futures
import time

from parsl.concurrent import ParslPoolExecutor
from parsl.config import Config
from parsl.executors import ThreadPoolExecutor


def rest(seconds):
    """What the call does; parsl takes no built-in function without a signature."""
    time.sleep(seconds)


def cancel_of_waiting_call(executor):
    """Whether the future is one of the standard library, and what its cancel() does."""
    executor.submit(rest, 3)
    waiting = executor.submit(rest, 0)
    try:
        answer = repr(waiting.cancel())
    except NotImplementedError as error:
        answer = repr(error)
    return isinstance(waiting, concurrent.futures.Future), answer


async def timeout_of_waiting_call(executor):
    """What the event loop is told when the wait for a call times out."""
    told = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: told.append(type(context["exception"]).__name__)
    )
    future = executor.submit(rest, 1)
    try:
        await asyncio.wait_for(asyncio.wrap_future(future), 0.1)
    except TimeoutError:
        await asyncio.sleep(0.1)
    return told


with concurrent.futures.ThreadPoolExecutor(1) as executor:
    standard = cancel_of_waiting_call(executor)
with ParslPoolExecutor(Config(executors=[ThreadPoolExecutor(max_threads=1)])) as executor:
    parsl = cancel_of_waiting_call(executor)
    told = asyncio.run(timeout_of_waiting_call(executor))
print("standard library:", standard)
print("parsl:", parsl, "| told to the event loop:", told)
surprising = standard == (True, "True") and parsl[0] and "NotImplementedError" in parsl[1]
raise SystemExit(0 if surprising and told == ["NotImplementedError"] else 1)
PYTHON
environment/bin/python canceled.py
# Output seen:
# standard library: (True, 'True')
# parsl: (True, "NotImplementedError('Cancel not implemented')") | told to the event loop: ['NotImplementedError']
