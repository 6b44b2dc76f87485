"""Checking: a folder of images -> its problems before a training, and gates that reject it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mien.config import CleanConfig, DecodeConfig, LabelConfig, ScanConfig
from mien.core.progress import SILENCE, Progress
from mien.core.text import counted
from mien.data.dataset import Dataset
from mien.data.decisions import decisions_of
from mien.data.leaks import Leak, find_leaks
from mien.data.relabelling import clean_as_decided
from mien.data.scanning import scan
from mien.data.shortcuts import Shortcut, find_shortcuts
from mien.data.splitting import split
from mien.data.subjects import guess_rule, with_subjects
from mien.errors import GateError, LeakError, SettingsError, TooFewImagesError
from mien.model.classifier import load
from mien.runs.folder import run_of
from mien.runs.run import groups_are_known, load_seen, settings_of

# The gates, and the problem codes of files that each stands for. The last two apply to the whole folder.
GATES: dict[str, set[str]] = {
    "unreadable": {"unreadable", "not_an_image", "empty", "too_many_pixels"},
    "duplicates": {"exact_duplicate", "near_duplicate"},
    "conflicts": {"conflicting_labels"},
    "shortcuts": set(),
    "leak": set(),
}


@dataclass(frozen=True)
class Check:
    """The result of a check.

    Attributes:
        dataset: Every file, its problems, and whether it is used.
        shortcuts: Facts about files that give the label away.
        leaks: Images with a copy in the training images of a run; None without a run to compare with.
        group_by: How paths seem to form groups, as a value for --group-by; None if they do not, or groups are known.
        too_few: Why there are too few images to train on; "" if there are enough.
    """

    dataset: Dataset
    shortcuts: tuple[Shortcut, ...]
    leaks: tuple[Leak, ...] | None
    group_by: str | None = None
    too_few: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        leaks = {} if self.leaks is None else {"leaks": [asdict(leak) for leak in self.leaks]}
        shortcuts = [found.to_dict() for found in self.shortcuts]
        found = {"shortcuts": shortcuts, "group_by": self.group_by, "too_few": self.too_few}
        return self.dataset.to_dict() | found | leaks


def check(
    folder: str | Path,
    config: CleanConfig = CleanConfig(),
    labels: LabelConfig = LabelConfig(),
    *,
    decoding: DecodeConfig = DecodeConfig(),
    against: str | Path | None = None,
    progress: Progress = SILENCE,
) -> Check:
    """Check a folder of images for problems, without changing anything.

    Args:
        folder: As `scan` takes it.
        config: Which images to use. Default: the settings of the run to compare with.
        labels: Where to find the labels, if not detected automatically, and label decisions.
        decoding: How to decode the images. Default: as for the run to compare with.
        against: A run folder or a model.onnx, whose training images to look for.
        progress: Receives progress updates.

    Raises:
        UserError: A path or a label decision is invalid.

    Example:
        >>> import mien
        >>> found = mien.check("data")
        >>> found.dataset.counts(), found.leaks
        ({'happy': 12, 'sad': 12}, None)
    """
    decisions = decisions_of(labels)
    run_folder = run_of(Path(against)) if against else None
    seen = load_seen(run_folder) if run_folder else None
    settings = settings_of(run_folder) if run_folder else None
    # An unfinished run has no model yet.
    if run_folder and run_folder.model_path.is_file():
        facts = load(run_folder.path).facts
        ground = facts.ground if decoding.ground == "auto" else decoding.ground
        decoding = replace(decoding, levels=decoding.levels or facts.levels, ground=ground)
    scanned = scan(folder, ScanConfig(**asdict(decoding), faces="off"), labels, progress=progress)
    if settings:
        scanned = with_subjects(scanned, settings.split.group_by, progress=progress)
        config = settings.clean if config == CleanConfig() else config
    dataset = clean_as_decided(scanned, config, decisions)
    leaks = None
    if run_folder and seen is not None:
        leaks = find_leaks(dataset.records, seen, config.near_bits, groups=groups_are_known(run_folder))
    group_by = None if dataset.knows_groups else guess_rule(dataset)
    return Check(dataset, find_shortcuts(dataset), leaks, group_by, _too_few(dataset))


def _too_few(dataset: Dataset) -> str:
    try:
        split(dataset)
    except TooFewImagesError as error:
        return str(error)
    return ""


def find_gates(names: str, *, against: bool = False) -> tuple[str, ...]:
    """Return the gates in a list such as "unreadable,conflicts", plus leak if there is a run to compare with.

    Raises:
        SettingsError: A gate is not in GATES, or leak is used without a run to compare with.
    """
    gates = tuple(name.strip() for name in names.split(",") if name.strip())
    unknown = [gate for gate in gates if gate not in GATES]
    if unknown:
        raise SettingsError(f"unknown gate {unknown[0]!r}. Use some of {', '.join(GATES)}")
    if "leak" in gates and not against:
        raise SettingsError("the gate leak needs a run to compare with. Add --against RUN")
    return (*gates, "leak") if against and "leak" not in gates else gates


def refuse(found: Check, gates: Sequence[str]) -> None:
    """Reject a folder that fails a gate.

    Args:
        found: What `check` returned.
        gates: Names from GATES.

    Raises:
        GateError: A gate failed; the message says which, and how often.
    """
    dataset, num_leaks = found.dataset, len(found.leaks or ())
    codes = [problem.code for record in dataset.records for problem in record.problems]
    counts = {gate: sum(code in GATES[gate] for code in codes) for gate in gates}
    counts |= {gate: num for gate, num in (("shortcuts", len(found.shortcuts)), ("leak", num_leaks)) if gate in gates}
    units = {"shortcuts": "found", "leak": "training images of the run, or copies of them"}
    listed = ", ".join(
        f"{gate} ({f'{count} {units[gate]}' if gate in units else counted(count, 'file')})"
        for gate, count in counts.items()
        if count
    )
    if listed:
        kind = LeakError if "leak" in gates and num_leaks else GateError
        raise kind(f"{dataset.name!r} has {listed}")
