"""Intake: store images from URL lists, archives and repositories in class folders, and record their sources."""

import hashlib
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import quote, unquote, urlsplit

from mien.config import FetchLimits, IntakeLimits
from mien.core import files
from mien.core.formats import EXTENSIONS, HEAD_BYTES, format_of
from mien.core.progress import SILENCE, Progress
from mien.core.text import first_few, shorten
from mien.errors import FetchError, IntakeError, NotADatasetError, SettingsError, SourceNotFoundError
from mien.fetching.archives import Member, is_archive, members
from mien.fetching.image_folder import ImageFolder, open_folder
from mien.fetching.repositories import clone, is_repository, repository_members
from mien.fetching.source_log import LOG_NAME, SourceRecord
from mien.fetching.url_lists import Wanted, read_lists
from mien.layouts.by_folders import UnclearError, by_folders, by_level
from mien.layouts.by_name import guess_pattern
from mien.layouts.tree import tree_of

_MAX_NAMED = 10
# Hidden files, and files that macOS adds to archives.
_JUNK = re.compile(r"(^|[/\\])(\.(?!\.?[/\\])|__MACOSX[/\\])")
_MAX_QUOTED = 4000
_AS_DATA = "mien train accepts the archive directly, with splits, tables and labels in file names"


@dataclass
class Intake:
    """The result of a fetch, updated while it runs.

    Attributes:
        folder: Where the images are.
        new: Number of images stored, by class.
        there: Number of images that already existed, by class.
        failed: Number of images not stored, by class.
        failures: Records of images not stored.
        unusable: Why a source stopped as a whole, by source.
        num_others: Number of files in archives and repositories that are not images.
    """

    folder: Path
    new: Counter[str] = field(default_factory=Counter)
    there: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    failures: list[SourceRecord] = field(default_factory=list)
    unusable: dict[str, str] = field(default_factory=dict)
    num_others: int = 0

    @property
    def log_path(self) -> Path:
        """The log of all sources."""
        return self.folder / LOG_NAME

    @property
    def is_whole(self) -> bool:
        """Whether there are images and none is missing."""
        return not self.failures and not self.unusable and bool(self.new or self.there)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        names = sorted({*self.new, *self.there, *self.failed})
        return {
            "folder": str(self.folder),
            "classes": {n: {"new": self.new[n], "there": self.there[n], "failed": self.failed[n]} for n in names},
            "failures": [{"url": record.url, "status": record.status} for record in self.failures],
            "unusable": self.unusable,
            "num_others": self.num_others,
            "list": str(self.log_path),
        }


def take_in(
    sources: Iterable[str | Path],
    folder: str | Path,
    limits: IntakeLimits = IntakeLimits(),
    *,
    fetch_limits: FetchLimits = FetchLimits(),
    only: Sequence[str] = (),
    class_level: int | Literal["auto"] = "auto",
    progress: Progress = SILENCE,
) -> Intake:
    """Fetch images into class folders. Calling it again fetches only what is missing.

    Args:
        sources: URL lists with lines of a URL or `class,url`, or folders of such lists; zip and tar archives with class
            folders, as files or URLs; URLs of git repositories with class folders.
        folder: The folder for the class folders, created if needed. Existing files are never overwritten.
        limits: Limits for the whole fetch.
        fetch_limits: Limits for each image.
        only: Classes to take from archives and repositories, at any depth; by default all.
        class_level: Depth of the class folders in these; see `LabelConfig.class_level`.
        progress: Receives progress updates.

    Raises:
        SourceNotFoundError: Sources do not exist, or lists have invalid lines. Nothing is fetched then.
        OutputError: The folder is not writable.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("happy.txt").write_text("happy,ftp://example.org/smile.jpg")
        >>> take_in(["happy.txt"], "fetched")
        Traceback (most recent call last):
        mien.errors.SourceNotFoundError: nothing was fetched: happy.txt, line 1: expected a URL that starts with ...
    """
    wanted, others = sort_out([os.fspath(source) for source in sources])
    if len(wanted) > limits.max_files:
        raise SettingsError(
            f"{len(wanted)} images in the lists exceed the limit of {limits.max_files} (see --max-files)"
        )
    with open_folder(Path(folder)) as images:
        refuse(_contradictions(wanted, images))
        work = _Work(images, Intake(Path(folder)), limits, fetch_limits, frozenset(only), progress, class_level)
        work.take_list(wanted)
        for source in others:
            work.take_source(source)
        for name in sorted(work.only - work.found):
            work.made.unusable[f"--only {name}"] = "no archive or repository has a class with this name"
        return work.made


def source_url(source: str) -> str:
    """Return the name of a source in the log: its URL, or the file URL of a local file."""
    return source.partition("#")[0] if "://" in source else Path(source).resolve().as_uri()


def _contradictions(wanted: Sequence[Wanted], images: ImageFolder) -> list[str]:
    """Return contradictions between the lists and the folder, one per class and image."""
    found: dict[str, str] = {}
    for image in wanted:
        record = images.records.get(image.url)
        problem = images.class_problem(image.label)
        if record and record.path and record.path.split("/")[0] != image.label:
            problem = f"{shorten(image.url, 200)!r} is stored as {record.path!r}, in another class: --forget it first"
        if record and record.is_ok and not record.path:
            problem = f"{shorten(image.url, 200)!r} is an archive or repository, not an image: remove it from the list"
        if problem:
            found.setdefault(problem, f"{image.place}: {problem}")
    return list(found.values())


@dataclass(frozen=True)
class _Work:
    """A fetch in progress."""

    images: ImageFolder
    made: Intake
    limits: IntakeLimits
    fetch_limits: FetchLimits
    only: frozenset[str]
    progress: Progress
    class_level: int | Literal["auto"] = "auto"
    found: set[str] = field(default_factory=set)

    def take_list(self, wanted: Sequence[Wanted]) -> None:
        from mien.fetching.downloads import download  # only if needed: it imports the HTTP client

        labels = {image.url: image.label for image in wanted}
        for url in [url for url in labels if self.images.is_settled(url)]:
            self._count(self.images.records[url], labels.pop(url), is_new=False)
        num_bytes = 0
        with closing(download(list(labels), self.limits, self.fetch_limits)) as answers:
            for number, (url, answer) in enumerate(answers, start=1):
                if isinstance(answer, bytes):
                    self._keep(url, labels[url], unquote(urlsplit(url).path), answer)
                    num_bytes += len(answer)
                else:
                    self._count(
                        self.images.note(url, f"{_kind_of(answer)}: {answer.reason}"), labels[url], is_new=False
                    )
                self.progress.step("Fetching", number, len(labels))
                if num_bytes > self.limits.max_total_bytes:
                    self.made.unusable["lists"] = f"over {self.limits.max_total_bytes} bytes. Run again to continue"
                    return

    def take_source(self, source: str) -> None:
        url = source_url(source)
        try:
            with self._opened(source, url) as (found, sha256):
                labels = self._labels(_names_of(found())) if found else {}
                for number, member in enumerate(found() if found else (), start=1):
                    self._take_member(_member_url(url, member.name), member, labels.get(member.name, ""))
                    self.progress.step("Taking over", number, None)
            if not self.only:
                self.images.note(url, "ok", sha256=sha256)
            self.progress.step("Taking over", 1, 1)
        except (IntakeError, FetchError) as error:
            reason = error.reason if isinstance(error, FetchError) else str(error)
            self.made.unusable[source] = reason
            self.images.note(url, f"failed: {reason}")

    @contextmanager
    def _opened(self, source: str, url: str) -> Iterator[tuple[Callable[[], Iterable[Member]] | None, str]]:
        """Yield a function that lists the members of an archive or repository (None if all exist), and its hash.

        Downloaded files are removed at the end.
        """
        max_bytes, place = self.fetch_limits.max_bytes, self.images.work_dir / "source"
        before = self.images.records.get(url)
        is_here = "://" not in source
        sha256 = files.sha256_of(Path(source)) if is_here else before.sha256 if before else ""
        if before and before.sha256 == sha256 and self.images.holds(url):
            self._count_known(url)
            yield None, sha256
            return
        try:
            if is_repository(url):
                self.progress.say(f"cloning {source}")
                clone(source, place, self.limits, self.fetch_limits)
                yield lambda: repository_members(place, self.limits, max_bytes=max_bytes), ""
                return
            if not is_here:
                self.progress.say(f"downloading {source}")
                self._fetch_archive(source, place)
            path = Path(source) if is_here else place
            yield lambda: members(path, self.limits, max_bytes=max_bytes), files.sha256_of(path)
        finally:
            if place.is_dir():
                shutil.rmtree(place, ignore_errors=True)
            else:
                place.unlink(missing_ok=True)

    def _fetch_archive(self, url: str, path: Path) -> None:
        from mien.fetching.downloads import download_file  # as above

        limits = self.limits
        as_archive = replace(
            self.fetch_limits, max_bytes=limits.max_total_bytes, timeout_s=min(limits.source_timeout_s, 24 * 3600)
        )

        try:
            download_file(url, path, limits=limits, fetch_limits=as_archive)
        except FetchError as error:
            text = error.reason.replace("--max-bytes", "--max-total-bytes").replace("--timeout-s", "--source-timeout-s")
            raise IntakeError(text) from error

    def _count_known(self, url: str) -> None:
        """Count the images of an archive that need not be opened again."""
        known = {
            unquote(record.url.partition("#")[2]): record
            for record in self.images.records.values()
            if record.url.startswith(f"{url}#")
        }
        # Stored images are in the folder of their class.
        labels = {} if all(record.path for record in known.values()) else self._labels(known)
        for name, record in known.items():
            label = record.path.split("/")[0] or labels.get(name, "")
            self.found.add(label)
            self._count(record, label, is_new=False)

    def _labels(self, names: Iterable[str]) -> dict[str, str]:
        """Return the class of each member by name, determined from folders like in `mien train`."""
        paths = {name: "/".join(part for part in re.split(r"[/\\]", name) if part not in ("", ".")) for name in names}
        if not paths:
            return {}
        if self.only:
            found = {name: [part for part in path.split("/")[:-1] if part in self.only] for name, path in paths.items()}
            return {name: parts[-1] for name, parts in found.items() if parts}
        tree = tree_of(sorted(path for path in paths.values() if ".." not in path.split("/")))
        try:
            level = self.class_level
            layout = by_folders(tree, one_is_enough=True) if level == "auto" else by_level(tree, level)
        except (UnclearError, NotADatasetError) as error:
            raise IntakeError(f"{error}{_advice(error)}. {_AS_DATA}") from error
        if len(layout.class_names) < 2 and (pattern := guess_pattern(tree)[0]):
            raise IntakeError(f"its file names look like labels (--label-pattern '{pattern}'). {_AS_DATA}")
        for told in layout.told:
            self.progress.say(told)
        if any(entry.split for entry in layout.entries):
            self.progress.say(f"its splits are combined here. {_AS_DATA}")
        labels = {entry.path: entry.label for entry in layout.entries}
        return {name: labels[path] for name, path in paths.items() if path in labels}

    def _take_member(self, url: str, member: Member, label: str) -> None:
        self.found.add(label)
        # The part after a NUL distinguishes members with the same name.
        is_named_so = PurePosixPath(member.name.partition("\0")[0]).suffix.lower() in EXTENSIONS
        if _JUNK.search(member.name) or (self.only and label not in self.only):
            return
        if self.images.is_settled(url):
            self._count(self.images.records[url], label, is_new=False)
            return
        try:
            if member.problem:
                raise IntakeError(member.problem)
            content = member.read()
        except IntakeError as error:
            if is_named_so:
                # The next run may accept it with other settings.
                kind = "failed" if "see --" in str(error) else "refused"
                self._count(self.images.note(url, f"{kind}: {error}"), label, is_new=False)
            return
        if not (is_named_so or format_of(content[:HEAD_BYTES])):
            self.made.num_others += 1
        elif not label:
            self._count(self.images.note(url, "refused: it is not in a class folder"), label, is_new=False)
        else:
            self._keep(url, label, member.name, content)

    def _keep(self, url: str, label: str, name: str, content: bytes) -> None:
        known = self.images.num_images
        record = self.images.keep(url, label, name=name, content=content, max_pixels=self.limits.max_pixels)
        self._count(record, label, is_new=self.images.num_images > known)

    def _count(self, record: SourceRecord, label: str, *, is_new: bool) -> None:
        if record.is_ok:
            (self.made.new if is_new else self.made.there)[label] += 1
        else:
            self.made.failed[label] += 1
            self.made.failures.append(record)


def _member_url(url: str, name: str) -> str:
    """Return the name of a member in the log: the archive and its name, with a hash replacing the end of a long one."""
    quoted = quote(name, errors="surrogateescape")
    if len(quoted) > _MAX_QUOTED:
        quoted = f"{quoted[:_MAX_QUOTED]}...{hashlib.sha256(quoted.encode()).hexdigest()}"
    return f"{url}#{quoted}"


def _names_of(found: Iterable[Member]) -> Iterator[str]:
    """Yield the names of members as far as they can be read; errors are reported later, when they are stored."""
    with suppress(IntakeError):
        yield from (member.name for member in found)


def _advice(error: Exception) -> str:
    """Return those suggestions from `mien train` that help here."""
    ways = [way for way in getattr(error, "ways", ()) if way.startswith("--class-level")]
    return f": {'; '.join(ways)}" if ways else ""


def _kind_of(error: FetchError) -> str:
    """Return whether a failure is final ("refused"): the server understood the request and rejected it."""
    return "refused" if 400 <= error.status_code < 500 and not error.may_pass else "failed"


def sort_out(sources: Iterable[str]) -> tuple[list[Wanted], list[str]]:
    """Split sources into images from lists, and archives or repositories.

    Args:
        sources: URL lists or folders of them, zip and tar archives, http(s) URLs of archives or repositories.

    Raises:
        SourceNotFoundError: Sources cannot be read, or lists have invalid lines. The message lists all of them.
    """
    problems: list[str] = []
    lists: list[Path] = []
    others: list[str] = []
    for source in dict.fromkeys(sources):
        if re.match(r"[a-z][a-z0-9+.-]*:(//|:)|[\w.-]+@[\w.-]+:", source, re.IGNORECASE):
            others.append(source)
            if re.match(r"[^/]*//[^/?#]*@", source):
                problems.append("a URL contains a user name or password. Remove them")
            elif not re.fullmatch(r"(git\+)?https?://[!-~]+", source):
                problems.append(f"{source!r}: only http:// and https:// URLs can be fetched")
            continue
        try:
            found = _lists_of(Path(source))
        except (OSError, ValueError) as error:
            problems.append(f"{source!r}: {files.reason_of(error)}")
            continue
        lists += found
        others += [] if found else [source]
    wanted, wrong_lines = read_lists(lists)
    refuse(problems + wrong_lines)
    return wanted, others


def refuse(problems: list[str]) -> None:
    """Raise an error if there are problems.

    Raises:
        SourceNotFoundError: There are problems.
    """
    if problems:
        raise SourceNotFoundError(f"nothing was fetched: {'; '.join(first_few(problems, _MAX_NAMED))}")


def _lists_of(path: Path) -> list[Path]:
    """Return the lists at a path; [] for an archive."""
    if path.is_dir():
        found = sorted(path.glob("*.txt"))
        if not found:
            raise ValueError("the folder has no URL lists, e.g. happy.txt")
        return found
    if path.exists() and not path.is_file():
        raise ValueError("not a file or a folder")
    with open(path, "rb") as file:
        return [] if is_archive(file.read(512)) else [path]
