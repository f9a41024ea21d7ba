"""Transfer over HTTP that gives up soon where there is no network.

torchvision's own `download_url` waits without limit and writes to the final place. So only its
lists of mirrors and checksums are used.
"""

from __future__ import annotations

import queue
import threading
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import IO, TYPE_CHECKING

from deepobs.__about__ import __version__
from deepobs.errors import DownloadError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.client import HTTPResponse

ANSWER_SECONDS = 10.0
"""An answer must begin within this time: name server, every address and redirections together."""

SILENCE_SECONDS = 30.0
"""Once it began, it must not pause for longer than this."""

_BLOCK_BYTES = 2**18


def transfer_over_http(url: str, stream: IO[bytes]) -> None:
    """Write what an address holds into an open file.

    Args:
        url: An address of the scheme http or https.
        stream: Where to write.

    Raises:
        DownloadError: There was no answer, not the right one, or not all of it.
        OSError: It could not be written.
    """
    with _answer(url) as response:
        for block in _blocks(response):
            stream.write(block)


def _blocks(response: HTTPResponse) -> Iterator[bytes]:
    """What arrives. Only what goes wrong here, not in writing, is the network's fault."""
    announced = response.length
    received = 0
    try:
        while block := response.read(_BLOCK_BYTES):
            received += len(block)
            yield block
    except (HTTPException, OSError) as error:
        raise DownloadError(f"it broke off after {received} bytes ({_reason(error)})") from error
    if announced is not None and received != announced:
        raise DownloadError(f"it ended after {received} of {announced} bytes")


def _answer(url: str) -> HTTPResponse:
    """The response, asked for in a thread.

    The time-out of a socket covers neither the name server nor, where a host has several addresses,
    more than one of them; behind a firewall that drops packets this adds up to minutes.
    """
    if not url.startswith(("http://", "https://")):
        raise DownloadError("only http and https addresses are fetched")
    request = urllib.request.Request(url, headers={"User-Agent": f"deepobs/{__version__}"})  # noqa: S310
    answers: queue.SimpleQueue[HTTPResponse | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(urllib.request.urlopen(request, timeout=SILENCE_SECONDS))  # noqa: S310
        except Exception as error:  # handed to the thread that asked
            answers.put(error)

    threading.Thread(target=ask, name="deepobs-download", daemon=True).start()
    try:
        answer = answers.get(timeout=ANSWER_SECONDS)
    except queue.Empty:
        raise DownloadError(f"no answer within {ANSWER_SECONDS:g} seconds") from None
    if isinstance(answer, Exception):
        raise DownloadError(_reason(answer)) from answer
    return answer


def _reason(error: Exception) -> str:
    """Why it failed, in a few words."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        return f"HTTP status {error.code}"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return str(error) or type(error).__name__
