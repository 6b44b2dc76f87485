"""How a server behaves: where it listens, who may ask, and the limits of what it takes on."""

import re
from dataclasses import dataclass
from pathlib import Path

from mien.config import AnswerConfig
from mien.errors import SettingsError


@dataclass(frozen=True)
class ServeConfig:
    """Every setting of a server. The defaults are safe: this machine alone, and no request can exhaust it."""

    host: str = "127.0.0.1"
    """The address to listen on: 127.0.0.1 is this machine alone, 0.0.0.0 every network that it is in."""
    port: int = 8000
    """The port to listen on; 0 takes a free one."""
    workers: int = 1
    """Processes that share the port. One uses all cores; more help above some ten cores."""
    allow_host: tuple[str, ...] = ()
    """A name by which the server may be called, as in a URL; localhost and IP addresses always may. May be repeated."""
    api_key_file: Path | None = None
    """A file with the key that requests must bring in the header X-API-Key; or the variable MIEN_API_KEY holds it."""
    access_log: bool = True
    """Write a line of JSON for each request, which names no picture; into a file or a program, not on a terminal."""
    allow_urls: bool = False
    """Also take URLs of pictures, and fetch them: from public addresses alone."""
    threshold: float | None = None
    """Say "unsure" where no class is as probable as this; 0 always names one. By default that of the training; requests
    may ask for another."""
    explain: bool = True
    """Give heat maps to those who ask for them; a map costs a picture's time again, for some classifiers 200 times."""
    max_files: int = 64
    """Take at most so many pictures in one request."""
    max_file_mb: float = 32.0
    """Take pictures of at most so many MiB."""
    max_pixels: int = 50_000_000
    """Take pictures of at most so many pixels."""
    max_waiting: int = 256
    """Let at most so many pictures wait, and as many for heat maps; further requests are told to come back later."""
    max_memory_mb: float = 512.0
    """Hold at most so many MiB of pictures that wait or are still coming in."""
    upload_timeout_s: float = 30.0
    """Give up on a request that has not come in whole after so many seconds."""
    answer_timeout_s: float = 30.0
    """Give up on a request that has waited so many seconds for its answer."""
    stop_timeout_s: float = 10.0
    """When told to stop, finish what is in work for at most so many seconds."""
    max_connections: int = 500
    """Keep at most so many connections open in each process; those that ask nothing make room."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise SettingsError(f"port is {self.port}; expected 0 to 65535")
        if self.threshold is not None:
            AnswerConfig(threshold=self.threshold)
        for name in ("workers", "max_files", "max_pixels", "max_waiting", "max_connections"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}; expected 1 or more")
        for name in ("max_file_mb", "max_memory_mb"):
            if not 0.001 <= getattr(self, name) <= 1e6:
                raise SettingsError(f"{name} is {getattr(self, name)}; expected 0.001 to a million")
        for name in ("upload_timeout_s", "answer_timeout_s", "stop_timeout_s"):
            if not 0 < getattr(self, name) <= 1e6:
                raise SettingsError(f"{name} is {getattr(self, name)}; expected above 0 and at most a million")
        if self.max_file_bytes > self.max_memory_bytes:
            raise SettingsError(
                f"max_file_mb is {self.max_file_mb:g}, more than the max_memory_mb of {self.max_memory_mb:g} "
                f"in each of {self.workers} workers"
            )
        if self.max_files > self.max_waiting:
            raise SettingsError(f"max_files is {self.max_files}, more than the {self.max_waiting} that may wait")
        for name in self.allow_host:
            if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
                raise SettingsError(f"allow_host is {name!r}; expected a name alone, such as photos.example.org")

    @property
    def max_file_bytes(self) -> int:
        """The largest picture, in bytes."""
        return int(self.max_file_mb * 1024**2)

    @property
    def max_memory_bytes(self) -> int:
        """The share of one process in the memory for pictures, in bytes."""
        return int(self.max_memory_mb * 1024**2) // self.workers
