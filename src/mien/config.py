"""The settings: frozen dataclasses in which every default stands once; the flags and config.json are made from them."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from mien.errors import SettingsError

FitRule = Literal["stretch", "crop", "pad"]


def _require(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise SettingsError(f"{name} is {value}; expected {expected}")


@dataclass(frozen=True)
class ScanConfig:
    """How picture files become arrays."""

    image_size: tuple[int, int] = (256, 256)
    """Height and width, in pixels, that every picture is brought to."""
    fit_rule: FitRule = "stretch"
    """How a picture of another shape is brought to it: stretch it, crop its middle, or pad it with white."""
    max_pixels: int = 1024**3 // 12
    """Leave out pictures with more pixels than this: they may be bombs that fill the memory."""
    max_memory_mb: int = 2048
    """Keep the resized pictures in memory up to this many MiB; beyond it, in a temporary file."""

    def __post_init__(self) -> None:
        fits = all(22 <= side <= 2048 for side in self.image_size)
        _require(fits, "image_size", self.image_size, "22 to 2048 pixels each way")
        # Pillow itself refuses more than twice its default, which this is.
        most = 2 * ScanConfig.max_pixels
        _require(1 <= self.max_pixels <= most, "max_pixels", self.max_pixels, f"1 to {most}")
        _require(self.max_memory_mb >= 0, "max_memory_mb", self.max_memory_mb, "0 or more")


@dataclass(frozen=True)
class CleanConfig:
    """Which pictures are used."""

    min_bytes: int = 0
    """Leave out files smaller than this many bytes; the preset classic sets 10240."""
    min_side: int = 32
    """Leave out pictures whose shorter side has fewer pixels than this."""
    near_bits: int = 16
    """Call two pictures near copies when their 128-bit hashes differ in at most this many bits."""
    keep_copies: bool = False
    """Use every copy of a picture instead of the largest; copies always stand on one side of the split."""

    def __post_init__(self) -> None:
        _require(self.min_bytes >= 0, "min_bytes", self.min_bytes, "0 or more")
        _require(self.min_side >= 1, "min_side", self.min_side, "1 or more")
        _require(0 <= self.near_bits <= 64, "near_bits", self.near_bits, "0 to 64")


@dataclass(frozen=True)
class SplitConfig:
    """How the pictures are shared out; what is not for validation or test is for training."""

    val_share: float = 0.2
    """Share of every class that the validation split gets."""
    test_share: float = 0.1
    """Share of every class that the test split gets: read once, at the end."""
    seed: int = 42
    """Number that decides the split, the first weights, and the order of training."""

    def __post_init__(self) -> None:
        for name in ("val_share", "test_share"):
            _require(0 < getattr(self, name) < 1, name, getattr(self, name), "between 0 and 1")
        both = self.val_share + self.test_share
        _require(
            both < 0.999, "val_share + test_share", both, "less than 1, so that some pictures are left to train on"
        )
        _require(0 <= self.seed < 2**32, "seed", self.seed, "0 to 4294967295")


@dataclass(frozen=True)
class FitConfig:
    """How the network is trained."""

    epochs: int = 20
    """Number of passes over the training pictures."""
    batch_size: int = 32
    """Number of pictures in one step."""
    learning_rate: float = 1e-3
    """Step size of Adam."""
    dropout: float = 0.0
    """Share of the last hidden layer that is switched off at random in training."""
    patience: int = 0
    """Stop when the validation loss has not improved for this many epochs; 0 runs them all. The best epoch is kept."""
    class_weights: bool = True
    """Weigh the classes so that each counts the same, however many pictures it has."""

    def __post_init__(self) -> None:
        _require(self.epochs >= 1, "epochs", self.epochs, "1 or more")
        _require(self.batch_size >= 1, "batch_size", self.batch_size, "1 or more")
        _require(0 < self.learning_rate < 10, "learning_rate", self.learning_rate, "above 0 and below 10")
        _require(0 <= self.dropout < 1, "dropout", self.dropout, "0 or more and below 1")
        _require(self.patience >= 0, "patience", self.patience, "0 or more")


@dataclass(frozen=True)
class AugmentConfig:
    """How the training pictures, and they alone, are varied from epoch to epoch."""

    augment: bool = False
    """Vary the training pictures from epoch to epoch, within the limits below."""
    rotation: float = 30.0
    """Turn by up to this many degrees either way."""
    shift: float = 0.2
    """Move by up to this share of the height and of the width."""
    zoom: float = 0.2
    """Enlarge or shrink by up to this share."""
    flip: bool = True
    """Mirror half of the pictures, left to right."""
    brightness: float = 0.2
    """Make brighter or darker by up to this share of full white."""
    contrast: float = 0.2
    """Raise or lower the contrast by up to this share."""

    def __post_init__(self) -> None:
        _require(0 <= self.rotation <= 180, "rotation", self.rotation, "0 to 180 degrees")
        for name in ("shift", "zoom", "brightness", "contrast"):
            _require(0 <= getattr(self, name) < 1, name, getattr(self, name), "0 or more and below 1")


@dataclass(frozen=True)
class TrainConfig:
    """Every setting of a run; `config.json` holds one."""

    preset: str = "classic"
    """Name of the set of settings that this one began as."""
    scan: ScanConfig = field(default_factory=ScanConfig)
    clean: CleanConfig = field(default_factory=CleanConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)


PRESETS: dict[str, TrainConfig] = {
    # The tutorial's network and settings; it leaves out files under 10 KB.
    "classic": TrainConfig(preset="classic", clean=CleanConfig(min_bytes=10 * 1024)),
}


def to_json(config: TrainConfig) -> dict[str, Any]:
    """Return the settings as plain JSON values, by section."""
    return {
        name: {key: list(item) if isinstance(item, tuple) else item for key, item in value.items()}
        if isinstance(value, dict)
        else value
        for name, value in asdict(config).items()
    }


def from_json(document: Any) -> TrainConfig:
    """Read settings that `to_json` wrote; a setting that is left out keeps its default.

    What config.json says beside the settings (`data`, `versions`) is passed over.

    Raises:
        SettingsError: An unknown name, or a value of the wrong type or out of range.
    """
    if not isinstance(document, dict):
        raise SettingsError(f"settings must be a JSON object, not {type(document).__name__}")
    sections = {f.name: f.default_factory for f in fields(TrainConfig) if f.name != "preset"}
    _refuse_unknown(document, {"preset", "data", "versions", *sections}, "section")
    built = {name: _section(section, document.get(name, {}), name) for name, section in sections.items()}
    return TrainConfig(preset=_converted(document.get("preset", TrainConfig.preset), str, "preset"), **built)


def _section(section: Any, values: Any, name: str) -> Any:
    if not isinstance(values, dict):
        raise SettingsError(f"section {name!r} of the settings must be a JSON object, not {type(values).__name__}")
    hints = get_type_hints(section)
    _refuse_unknown(values, set(hints), f"setting in section {name!r}")
    return section(**{key: _converted(value, hints[key], key) for key, value in values.items()})


def _refuse_unknown(given: dict[str, Any], known: set[str], what: str) -> None:
    unknown = sorted(set(given) - known)
    if unknown:
        raise SettingsError(f"unknown {what}: {', '.join(map(repr, unknown))}; known: {', '.join(sorted(known))}")


def _converted(value: Any, hint: Any, name: str) -> Any:
    """Check that a JSON value is of the setting's type, and return it as that type."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        fits = value in args
    elif origin is tuple:
        fits = isinstance(value, list) and len(value) == len(args) and all(type(item) is int for item in value)
    elif hint is float:
        fits = type(value) in (int, float) and abs(value) < 1e300
    else:
        fits = type(value) is hint
    if not fits:
        raise SettingsError(f"setting {name!r} has the value {value!r}; expected {getattr(hint, '__name__', hint)}")
    return tuple(value) if origin is tuple else hint(value) if hint is float else value
