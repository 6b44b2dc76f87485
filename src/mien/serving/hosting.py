"""Hosting: where the server listens, and what it prints when it starts."""

import errno
import os
import socket
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address

from mien.config import ServeConfig
from mien.core import terminal
from mien.core.extras import needing
from mien.core.text import first_few
from mien.errors import SettingsError
from mien.model.classifier import Classifier

_BACKLOG = 2048
_MOST_CLASSES = 10
# Reserved for documentation: https://www.rfc-editor.org/rfc/rfc5737, https://www.rfc-editor.org/rfc/rfc3849
_ELSEWHERE = {4: (socket.AF_INET, "192.0.2.1"), 6: (socket.AF_INET6, "2001:db8::1")}


def host(classifier: Classifier, config: ServeConfig = ServeConfig()) -> None:
    """Serve a classifier until SIGINT, SIGTERM or SIGHUP, then finish accepted requests. A second signal stops it.

    Raises:
        MissingExtraError: A package is not installed.
        SettingsError: It cannot listen on the host and port.
    """
    with needing("serve"):
        from mien.serving import process
        from mien.serving.app import create_app
        from mien.serving.gate import read_api_key
    app = create_app(classifier, config)
    has_key = read_api_key(config, os.environ) is not None
    with listen(config) as listener:
        terminal.ERR.print(greeting(classifier, listener.getsockname(), has_key=has_key))
        process.serve(app, config, listener)
    # Without a terminal, another program stopped it.
    if terminal.ERR.is_terminal:
        terminal.ERR.print("stopped")


def listen(config: ServeConfig) -> socket.socket:
    """Return a listening socket. Connections wait until the server starts.

    Raises:
        SettingsError: The host is not an address of this machine, or the port is not available.
    """
    try:
        family, *_, address = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address, family=family, backlog=_BACKLOG)
    except (socket.gaierror, UnicodeError) as error:
        raise SettingsError(f"unknown host {config.host!r}. Use an address such as 127.0.0.1") from error
    except OSError as error:
        raise SettingsError(f"cannot listen on port {config.port} of {config.host!r}: {_advice(error)}") from error


def _advice(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program is using it. Choose another --port, or 0 for any free one"
    if error.errno == errno.EACCES:
        return "permission denied. Choose a --port of 1024 or above"
    if error.errno == errno.EADDRNOTAVAIL:
        return "not an address of this machine. Choose another --host, such as 127.0.0.1 or 0.0.0.0"
    return os.strerror(error.errno or 0)


def greeting(classifier: Classifier, address: tuple[str, int], *, has_key: bool) -> str:
    """Return the text to print when the server starts: its URLs, the classes, and who can use it.

    Args:
        classifier: The classifier.
        address: The socket's name, which starts with the address and the port.
        has_key: Whether requests need an API key.
    """
    where, port = ip_address(address[0].partition("%")[0]), address[1]
    names = ["localhost", *_network_names(where.version)] if where.is_unspecified else [_name_of(where)]
    classes = ", ".join(first_few(classifier.class_names, _MOST_CLASSES))
    urls = " and ".join(f"http://{name}:{port}" for name in names)
    lines = [f"Serving at {urls} (classes: {terminal.printable(classes)}). The API is at /docs. Press Ctrl-C to stop."]
    if not where.is_loopback and not has_key:
        lines.append(
            "WARNING: anyone who can reach this machine can use the server, and traffic is not encrypted. Set "
            "--api-key-file, or leave out --host to allow only this machine."
        )
    return "\n".join(lines)


def _name_of(where: IPv4Address | IPv6Address) -> str:
    return f"[{where}]" if where.version == 6 else str(where)


def _network_names(version: int) -> list[str]:
    """Return the address of this machine in its network, i.e. the one that it would send from, if it has one."""
    family, elsewhere = _ELSEWHERE[version]
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as nothing_is_sent:
        nothing_is_sent.connect((elsewhere, 9))
        return [_name_of(ip_address(nothing_is_sent.getsockname()[0].partition("%")[0]))]
    return []
