"""Which transports there are: the built-in ones, and whatever the user names as "module:factory".

Runs in the coordinator, to refuse what cannot be used, and in the workers, which open one each. Imports no transport
before it is opened, and must not know what is in it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from crawler.config import Config
from crawler.errors import UsageError
from crawler.load import load
from crawler.transports.contract import Marking, request_headers

if TYPE_CHECKING:
    from crawler.transports.guarded import Guarded

_BUILT_IN: Final = {
    "requests": "crawler.transports.requests:RequestsTransport",
    "curl": "crawler.transports.curl:CurlTransport",
}


def open_transport(config: Config, capacity: int, mark: Marking | None = None) -> Guarded:
    """Make the transport that the config names: a built-in one, or `module:factory`: `factory(config, capacity)`.

    Args:
        mark: names the page whose body is being decoded, while it is.

    Raises:
        UsageError: there is no such transport, or an option of it cannot be used.
    """
    from crawler.transports.guarded import Guarded  # late: who only checks has no need of decoders

    _check_extra(config.transport)
    transport = _import_factory(_BUILT_IN.get(config.transport, config.transport))(config, capacity)
    try:
        return Guarded(transport, config, mark)
    except UsageError:
        transport.close()
        raise


def modules(config: Config) -> list[str]:
    """Return the modules that a worker with this config's transport will import."""
    return [_BUILT_IN.get(config.transport, config.transport).partition(":")[0]]


def check(config: Config) -> None:
    """Refuse a transport that there is not, or headers that cannot be sent, without opening anything.

    Raises:
        UsageError: names the option, what was expected and what it is.
    """
    _check_extra(config.transport)
    if config.transport not in _BUILT_IN:  # those are imported in the workers
        _import_factory(config.transport)
    request_headers(config, "")


def _check_extra(name: str) -> None:
    if name == "curl" and find_spec("pycurl") is None:
        raise UsageError("transport = 'curl' needs pycurl: pip install 'poolcrawl[curl]'")


def _import_factory(spec: str) -> Callable[[Config, int], Any]:
    if ":" not in spec:
        raise UsageError(f"transport = {spec!r}: expected 'requests', 'curl' or 'module:factory'")
    return load("the transport", spec, "mine:Transport")
