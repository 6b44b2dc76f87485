"""Addresses: check which hosts a URL may point to.

Protects against server-side request forgery (SSRF): a URL must not reach what only this machine can reach.
"""

import ipaddress
import socket

from mien.config import FetchLimits
from mien.errors import FetchError

# `is_global` alone misses many of these, depending on the Python version.
# https://www.iana.org/assignments/iana-ipv6-special-registry
_IPV6_INTERNET = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NOT_PUBLIC = (
    ipaddress.ip_network("168.63.129.16"),  # Azure's own services, as every machine there sees them
    ipaddress.ip_network("192.0.0.0/24"),  # holds Oracle Cloud's machine metadata
    ipaddress.ip_network("192.88.99.0/24"),
    ipaddress.ip_network("2001::/23"),  # Teredo: hides an IPv4 address
    ipaddress.ip_network("2001:db8::/32"),
    ipaddress.ip_network("2002::/16"),  # 6to4: hides an IPv4 address
    ipaddress.ip_network("3fff::/20"),
)


def public_addresses(host: str, limits: FetchLimits) -> list[str]:
    """Look up a host once, and check that all its addresses are public unless private ones are allowed.

    Raises:
        FetchError: The name is unknown, or one of its addresses is forbidden.
    """
    try:
        entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        message = f"unknown host {host!r} ({error.strerror}). Check the spelling"
        raise FetchError(message, may_pass=error.errno == socket.EAI_AGAIN) from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in entries))
    private = [address for address in addresses if not is_public(address)]
    if private and not limits.allow_private:
        raise FetchError(f"{private[0]} is not a public address. Add --allow-private to allow it")
    return addresses


def is_public(address: str) -> bool:
    """Return whether an IP address is public, i.e. not of this machine or a local network.

    Raises:
        ValueError: It is not an IP address; it may be a host name.
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        hidden = ip.ipv4_mapped or (ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None)
        if ip.scope_id or not (hidden or ip in _IPV6_INTERNET):
            return False
        ip = hidden or ip
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _NOT_PUBLIC)
