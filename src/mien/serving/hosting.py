"""Hosting: where the server listens, and what it says when it starts."""

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
# For examples, and nobody's: https://www.rfc-editor.org/rfc/rfc5737, https://www.rfc-editor.org/rfc/rfc3849
_ELSEWHERE = {4: (socket.AF_INET, "192.0.2.1"), 6: (socket.AF_INET6, "2001:db8::1")}


def host(classifier: Classifier, config: ServeConfig = ServeConfig()) -> None:
    """Serve a classifier until SIGINT, SIGTERM or SIGHUP; then finish what was accepted, unless told again.

    Raises:
        MissingExtraError: A package is not installed.
        SettingsError: It cannot listen where it should.
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
    # Otherwise whoever ended it is a program.
    if terminal.ERR.is_terminal:
        terminal.ERR.print("stopped")


def listen(config: ServeConfig) -> socket.socket:
    """Return a socket to which connections can be made from now on, though nobody answers yet.

    Raises:
        SettingsError: The host is not one of this machine, or the port is not to be had.
    """
    try:
        family, *_, address = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address, family=family, backlog=_BACKLOG)
    except (socket.gaierror, UnicodeError) as error:
        raise SettingsError(f"the host {config.host!r} is not known; expected an address, as 127.0.0.1") from error
    except OSError as error:
        raise SettingsError(f"cannot listen at port {config.port} of {config.host!r}: {_advice(error)}") from error


def _advice(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program does. Choose another --port; 0 takes a free one"
    if error.errno == errno.EACCES:
        return "you may not. Choose a --port of 1024 or above"
    if error.errno == errno.EADDRNOTAVAIL:
        return "it is no address of this machine. Choose another --host, such as 127.0.0.1 or 0.0.0.0"
    return os.strerror(error.errno or 0)


def greeting(classifier: Classifier, address: tuple[str, int], *, has_key: bool) -> str:
    """Return what to say when the server starts: where it is, what it tells apart, and who can ask it.

    Args:
        classifier: What is served.
        address: Where it listens: the address, the port, and what else a system says of it.
        has_key: Requests must bring a key.
    """
    where, port = ip_address(address[0].partition("%")[0]), address[1]
    names = ["localhost", *_network_names(where.version)] if where.is_unspecified else [_name_of(where)]
    classes = ", ".join(first_few(classifier.class_names, _MOST_CLASSES))
    urls = " and ".join(f"http://{name}:{port}" for name in names)
    lines = [
        f"Serving at {urls} a classifier of {terminal.printable(classes)}. Ctrl-C stops it; /docs describes the API."
    ]
    if not where.is_loopback and not has_key:
        lines.append(
            "WARNING: everybody who can reach this machine can ask it, and what is sent is not encrypted. Give an "
            "--api-key-file, or leave out --host, so that only this machine can."
        )
    return "\n".join(lines)


def _name_of(where: IPv4Address | IPv6Address) -> str:
    return f"[{where}]" if where.version == 6 else str(where)


def _network_names(version: int) -> list[str]:
    """Return by what others may call this machine: the address that it would use towards elsewhere, if it has one."""
    family, elsewhere = _ELSEWHERE[version]
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as nothing_is_sent:
        nothing_is_sent.connect((elsewhere, 9))
        return [_name_of(ip_address(nothing_is_sent.getsockname()[0].partition("%")[0]))]
    return []
