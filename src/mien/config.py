"""The settings: frozen dataclasses in which every default stands once; the flags and config.json are made from them."""

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from mien.errors import SettingsError
from mien.schema import built

Keep = Literal["largest", "first", "all"]
ResizeMode = Literal["stretch", "crop", "pad"]
Method = Literal["linear", "cnn", "finetune"]
Precision = Literal["auto", "float32", "bfloat16"]
Faces = Literal["auto", "on", "off"]
Ground = Literal["auto", "white", "black", "grey"]
Strategy = Literal["both", "uncertain", "diverse", "random"]
Link = Literal["hard", "symbolic"]
ShardFormat = Literal["parquet", "csv"]
Engine = Literal["local", "ray"]
# What may differ between images of one class, as a user would say it.
Aspect = Literal["colour", "brightness", "sharpness", "mirror", "surroundings"]
ASPECTS: tuple[Aspect, ...] = get_args(Aspect)
BUILT_IN_BACKBONE = "lite0"
# What config.json says beside the settings.
_BESIDE = ("data", "versions", "relabel_sha256")


def expect(holds: bool, name: str, value: object, expected: str) -> None:
    """Refuse a setting that has no meaning, by its name and with what was expected.

    Raises:
        SettingsError: It does not hold.
    """
    if not holds:
        raise SettingsError(f"{name} is {value}; expected {expected}")


@dataclass(frozen=True)
class DecodeConfig:
    """How image files become pixels."""

    levels: tuple[float, float] | None = None
    """The values that become black and white in images of more than 8 bits a channel, such as 0 4095 of an instrument
    of 12 bits. By default those that all such images of the folder point to."""
    ground: Ground = "auto"
    """What transparent images are put on. auto: white, or what they can be seen on where they would vanish on it; the
    same for all images of the folder."""
    max_pixels: int = 1024**3 // 12
    """Leave out images with more pixels than this: they may be bombs that fill the memory. Of a JPEG only those pixels
    count that are decoded, an eighth each way where it is large."""

    def __post_init__(self) -> None:
        fits = self.levels is None or (-1e30 < self.levels[0] < self.levels[1] < 1e30)
        expect(fits, "levels", self.levels, "two numbers, the lower one first")
        expect(1 <= self.max_pixels <= 2**31, "max_pixels", self.max_pixels, f"1 to {2**31}")


@dataclass(frozen=True)
class EngineConfig:
    """What reads, decodes and judges the images."""

    engine: Engine = "local"
    """local: all cores of this machine. ray: those of every machine of a Ray cluster, which must all see the images at
    the same path; the answers are the same."""
    ray_address: str = ""
    """Where the head of that cluster is, as HOST:PORT; by default what RAY_ADDRESS says. Without either, Ray is started
    on this machine alone."""

    def __post_init__(self) -> None:
        is_address = re.fullmatch(r"|\S+:\d{1,5}", self.ray_address) is not None and "/" not in self.ray_address
        expect(is_address, "ray_address", repr(self.ray_address), "HOST:PORT, as ray start --head prints it")
        if self.ray_address and self.engine != "ray":
            raise SettingsError(f"--ray-address {self.ray_address} is for Ray: add --engine ray")


@dataclass(frozen=True)
class ScanConfig(DecodeConfig):
    """How image files become arrays."""

    image_size: tuple[int, int] = (224, 224)
    """Height and width, in pixels, that every image is brought to; a backbone of fixed size decides it itself."""
    resize_mode: ResizeMode = "stretch"
    """How an image of another shape is brought to it: stretch it, crop its middle, or pad it with white."""
    faces: Faces = "auto"
    """Look at the faces in an image as well as at the whole of it: a face detector and a network that reads expressions
    are built in. auto: try 64 images, and go on where 5 of them show a face."""
    max_memory_mb: int = 2048
    """Memory for resized images, in MiB. A folder that needs more is decoded again where its pixels are used; a network
    in training keeps them in a temporary file."""

    def __post_init__(self) -> None:
        super().__post_init__()
        fits = all(22 <= side <= 2048 for side in self.image_size)
        expect(fits, "image_size", self.image_size, "22 to 2048 pixels each way")
        expect(self.max_memory_mb >= 0, "max_memory_mb", self.max_memory_mb, "0 or more")


@dataclass(frozen=True)
class FetchLimits:
    """How far fetching a URL may go."""

    timeout_s: float = 20.0
    """Give up on a URL after this many seconds, redirects included."""
    max_bytes: int = 32 * 1024**2
    """Give up on a URL that sends more bytes than this."""
    max_redirects: int = 3
    """Follow at most this many redirects of one URL."""
    allow_private: bool = False
    """Also fetch from this machine and from local networks, whose addresses are not public."""

    def __post_init__(self) -> None:
        expect(0 < self.timeout_s <= 24 * 3600, "timeout_s", self.timeout_s, "above 0 and at most a day")
        for name, least in (("max_bytes", 1), ("max_redirects", 0)):
            expect(getattr(self, name) >= least, name, getattr(self, name), f"{least} or more")


@dataclass(frozen=True)
class IntakeLimits:
    """How far taking images from lists, archives and repositories may go."""

    max_files: int = 100_000
    """Take at most this many images from a list, and open no archive or repository with more files."""
    max_total_bytes: int = 4 * 1024**3
    """Take at most this many bytes from one list, archive or repository; packed or unpacked."""
    max_ratio: float = 200.0
    """Stop at what unpacks to more than this many times its packed size: it may be a bomb that fills the disk."""
    max_pixels: int = DecodeConfig.max_pixels
    """Refuse images with more pixels than this: they may be bombs that fill the memory. Of a JPEG only those pixels
    count that are decoded, an eighth each way where it is large."""
    source_timeout_s: float = 3600.0
    """Give up on an archive or a repository that is not here after this many seconds."""
    retries: int = 2
    """Try again so many times, after a pause, where the reason may pass: a timeout, a busy server."""
    workers: int = 16
    """Fetch so many URLs at a time."""
    max_per_host: int = 4
    """Fetch so many URLs at a time from one host."""

    def __post_init__(self) -> None:
        for name in ("max_files", "max_total_bytes", "max_ratio"):
            expect(1 <= getattr(self, name) < 2**63, name, getattr(self, name), "1 or more")
        DecodeConfig(max_pixels=self.max_pixels)
        expect(0 < self.source_timeout_s <= 7 * 24 * 3600, "source_timeout_s", self.source_timeout_s, "up to a week")
        expect(0 <= self.retries <= 10, "retries", self.retries, "0 to 10")
        for name in ("workers", "max_per_host"):
            expect(1 <= getattr(self, name) <= 256, name, getattr(self, name), "1 to 256")


TUTORIAL_MIN_BYTES = 10 * 1024


@dataclass(frozen=True)
class CleanConfig:
    """Which images are used."""

    min_bytes: int = 0
    """Leave out files smaller than this many bytes. The preset classic sets 10240, which the tutorial takes; where that
    leaves nothing of a class, it is not applied."""
    min_side: int | Literal["auto"] = "auto"
    """Leave out images whose shorter side has fewer pixels than this. auto: a quarter of the median of the folder, but
    no fewer than 8 and no more than 56."""
    near_bits: int = 16
    """Look for copies among images whose 128-bit hashes differ in at most this many bits; which of them are copies is
    proved on the pixels. 0: only images with the same hash."""
    keep: Keep = "largest"
    """Which of a set of copies is used. largest: the one with most pixels, then most bytes; first: the first by name;
    all: every one, and they stand on one side of the split."""

    def __post_init__(self) -> None:
        expect(self.min_bytes >= 0, "min_bytes", self.min_bytes, "0 or more")
        expect(self.min_side == "auto" or self.min_side >= 1, "min_side", self.min_side, "auto, or 1 or more")
        expect(0 <= self.near_bits <= 64, "near_bits", self.near_bits, "0 to 64")


@dataclass(frozen=True)
class LabelConfig:
    """Where the labels are: by default in the names of folders or in a table, whichever the folder holds."""

    labels: str = ""
    """Table with a row for each image: CSV, TSV, JSON, JSON lines or Parquet. By default one that is found in the
    folder, where its folders do not tell the classes."""
    path_column: str = ""
    """Column of that table with the paths or names of the images. By default the one whose values are such."""
    label_column: str = ""
    """Column of that table with the labels. By default the one that is called so, or the only one that can be."""
    label_pattern: str = ""
    r"""Regular expression that finds the label in the name of a file, as its first group: ^(.+)_\d+ makes cat of
    cat_12.jpg."""
    class_level: int | Literal["auto"] = "auto"
    """Which folder on the way to an image is its class: 1 the first below DATA, 2 the second. auto: by the folders."""
    classes: str = ""
    """Take only these classes, with commas between; the others are left out."""
    exclude: str = ""
    """Pass over files and folders of these names or paths, with commas between; ? and * in them stand for anything."""
    merge_classes: str = ""
    """Put classes together: pet=cat+dog,wild=wolf. A name alone stands for all names that differ from it only in case
    or blanks."""
    relabel: str = ""
    """CSV file with the columns path and decision, such as label_issues.csv of a run, filled in, or decisions.csv of
    mien review. A decision is a class name (the image counts as that class), leave-out, or keep. Nothing changes on
    disk, and all other images stay in their splits. Images of other folders, named by their whole paths, are trained on
    too."""

    def __post_init__(self) -> None:
        level = self.class_level
        fits = level == "auto" or (isinstance(level, int) and level >= 1)
        expect(fits, "class_level", repr(level), "auto, or 1 or more")


@dataclass(frozen=True)
class SplitConfig:
    """How the images are shared out; what is not for validation or test is for training."""

    val_fraction: float = 0.2
    """Share of every class that the validation split gets."""
    test_fraction: float = 0.1
    """Share of every class that the test split gets: read once, at the end."""
    seed: int = 42
    """Number that decides the split, the folds, the first weights, and the order of training."""
    folds: int | Literal["auto"] = "auto"
    """Judge by cross-validation too, with this many folds of what is not for the test; 0 for none. auto: 5 with up to
    20,000 images (fewer where there are more than ten classes), but none for the method cnn."""

    split: str = ""
    """Keep the split of this earlier run: none of its images is moved, nor a copy of one, and what is new fills up the
    shares. Shares and groups are those of the run, unless they are given. new: split anew what folders or a table
    split, which stays as it is by default."""

    group_by: str = "auto"
    r"""Keep images of one patient, person, object or session on one side of every split, and let scores count these
    groups. folder: the folder below that of the class tells; name:PATTERN: what the regular expression finds in the
    path, such as name:patient(\d+); column:NAME: a column of the table of labels; none. auto: groups that the
    names of files or folders form, where the classifier is better at images of groups that it knows than chance
    allows."""

    def __post_init__(self) -> None:
        folds_fit = self.folds == "auto" or self.folds == 0 or 2 <= self.folds <= 100
        expect(folds_fit, "folds", self.folds, "auto, 0, or 2 to 100")
        for name in ("val_fraction", "test_fraction"):
            expect(0 < getattr(self, name) < 1, name, getattr(self, name), "between 0 and 1")
        both = self.val_fraction + self.test_fraction
        expect(both < 0.999, "val_fraction + test_fraction", both, "less than 1, to leave images to train on")
        expect(0 <= self.seed < 2**32, "seed", self.seed, "0 to 4294967295")


@dataclass(frozen=True)
class FitConfig:
    """How the classifier is trained."""

    method: Method = "linear"
    """linear: a linear head on the features of a pretrained backbone; finetune: that, or the backbone trained on as
    well, where it is clearly better on images left out; cnn: the tutorial's small network from random weights, without
    a backbone. Only finetune and cnn use the other settings here, except --class-weights and --may-matter."""
    epochs: int = 20
    """Number of passes over the training images."""
    batch_size: int = 32
    """Number of images in one step."""
    learning_rate: float = 1e-3
    """Step size of Adam; with the method finetune the first, from which it falls to nothing along a cosine."""
    dropout: float = 0.0
    """Share of the last hidden layer that is switched off at random in training."""
    patience: int = 0
    """Stop when the validation loss has not improved for this many epochs; 0 runs them all. The best epoch is kept."""
    class_weights: bool = False
    """Weigh the classes so that each counts the same, however many images it has; the preset classic does."""
    time_limit: float = 0.0
    """End the training of networks after this many minutes, with the best weights so far; 0 for no limit. The preset
    best sets 10, for all its trainings together."""
    may_matter: str = ""
    """What may tell the classes apart, as colour does for ripe fruit: any of colour, brightness, sharpness, mirror and
    surroundings, with commas between, or all. The classifier is tried on copies of images that are changed in each of
    the others, and learns from such copies where that helps."""
    precision: Precision = "auto"
    """Compute the training in float32, or in bfloat16 with weights in float32. auto: bfloat16 where the processor has
    instructions for it."""

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("patience", 0)):
            expect(getattr(self, name) >= least, name, getattr(self, name), f"{least} or more")
        expect(0 < self.learning_rate < 10, "learning_rate", self.learning_rate, "above 0 and below 10")
        expect(0 <= self.dropout < 1, "dropout", self.dropout, "0 or more and below 1")
        expect(0 <= self.time_limit <= 1e6, "time_limit", self.time_limit, "0 to a million minutes")
        unknown = set(self.aspects_that_may_matter) - set(ASPECTS)
        expect(not unknown, "may_matter", repr(self.may_matter), f"{', '.join(ASPECTS)}, several with commas, or all")

    @property
    def aspects_that_may_matter(self) -> tuple[str, ...]:
        """Names of aspects."""
        if self.may_matter.lower() == "all":
            return ASPECTS
        return tuple(name for name in map(str.strip, self.may_matter.lower().split(",")) if name)


@dataclass(frozen=True)
class BackboneConfig:
    """The pretrained network that images go through first; the method cnn has none."""

    backbone: str = BUILT_IN_BACKBONE
    """lite0: EfficientNet-Lite0, built in. For the method linear also a FILE.onnx of your own that turns images into
    features; for finetune also a name in keras.applications, such as MobileNetV3Small."""
    weights: str = ""
    """File with the weights of a keras.applications backbone; by default Keras downloads them once."""
    pixel_mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """What a FILE.onnx wants subtracted from red, green and blue, which are 0 to 1 then."""
    pixel_std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """What a FILE.onnx wants them divided by after that."""

    def __post_init__(self) -> None:
        expect(self.backbone != "", "backbone", repr(self.backbone), "a name or a file")
        means_fit = all(-1000 <= mean <= 1000 for mean in self.pixel_mean)
        expect(means_fit, "pixel_mean", self.pixel_mean, "numbers from -1000 to 1000")
        stds_fit = all(1e-6 <= std <= 1000 for std in self.pixel_std)
        expect(stds_fit, "pixel_std", self.pixel_std, "numbers from 0.000001 to 1000")


@dataclass(frozen=True)
class AugmentConfig:
    """How the training images, and they alone, are varied from epoch to epoch."""

    augment: bool = False
    """Vary the training images from epoch to epoch, within the limits below."""
    rotation: float = 30.0
    """Turn by up to this many degrees either way."""
    shift: float = 0.2
    """Move by up to this share of the height and of the width."""
    zoom: float = 0.2
    """Enlarge or shrink by up to this share."""
    flip: bool = True
    """Mirror half of the images, left to right."""
    brightness: float = 0.2
    """Make brighter or darker by up to this share of full white."""
    contrast: float = 0.2
    """Raise or lower the contrast by up to this share."""

    def __post_init__(self) -> None:
        expect(0 <= self.rotation <= 180, "rotation", self.rotation, "0 to 180 degrees")
        for name in ("shift", "zoom", "brightness", "contrast"):
            expect(0 <= getattr(self, name) < 1, name, getattr(self, name), "0 or more and below 1")


@dataclass(frozen=True)
class PredictConfig:
    """When the classifier says "unsure" instead of a class."""

    threshold: float = 0.0
    """Say "unsure" where no class is as probable as this; 0 always names a class."""
    target_precision: float = 0.0
    """Choose the lowest threshold, not below --threshold, above which this share of the answers is right, on images
    that were not trained on; 0 chooses none."""

    def __post_init__(self) -> None:
        expect(0 <= self.threshold <= 1, "threshold", self.threshold, "0 to 1")
        expect(0 <= self.target_precision < 1, "target_precision", self.target_precision, "0 or more and below 1")


@dataclass(frozen=True)
class NextConfig:
    """Which images to label next."""

    strategy: Strategy = "both"
    """uncertain: the images first of which the classifier is least sure; diverse: those that are the most unlike what
    it was trained on, and unlike those before them; both: by both at once; random: by chance, to compare with."""
    top: int = 100
    """How many images to name; 0 for all."""
    seed: int = 42
    """Number that decides what chance decides."""

    def __post_init__(self) -> None:
        expect(self.top >= 0, "top", self.top, "0 or more")
        expect(0 <= self.seed < 2**32, "seed", self.seed, "0 to 4294967295")


@dataclass(frozen=True)
class SortConfig:
    """How images are put into class folders."""

    threshold: float | None = None
    """Put images of which no class is as probable as this into the folder unsure; 0 only those that are unlike the
    training images. By default that of the training."""
    link: Link | None = None
    """Make links instead of copies; they take no room. hard: another name of the same file, on the same disk; symbolic:
    a pointer to where the file is."""


@dataclass(frozen=True)
class ShardConfig:
    """How the predictions of very many images are written."""

    images_per_shard: int = 10_000
    """Write the predictions of so many images at a time: what is lost at most where the command is cut off."""
    shard_format: ShardFormat = "parquet"
    """Write Parquet, which needs pyarrow, or CSV."""

    def __post_init__(self) -> None:
        expect(1 <= self.images_per_shard <= 10**6, "images_per_shard", self.images_per_shard, "1 to 1000000")


@dataclass(frozen=True)
class ServeConfig:
    """Every setting of a server. The defaults are safe: this machine alone, and no request can exhaust it."""

    host: str = "127.0.0.1"
    """The address to listen on: 127.0.0.1 is this machine alone, 0.0.0.0 every network that it is in."""
    port: int = 8000
    """The port to listen on; 0 takes a free one."""
    allow_host: tuple[str, ...] = ()
    """A name by which the server may be called, as in a URL; localhost and IP addresses always may. May be repeated."""
    api_key_file: Path | None = None
    """A file with the key that requests must bring in the header X-API-Key; or the variable MIEN_API_KEY holds it."""
    access_log: bool = True
    """Write a line of JSON for each request, which names no image; into a file or a program, not on a terminal."""
    allow_urls: bool = False
    """Also take URLs of images, and fetch them: from public addresses alone."""
    threshold: float | None = None
    """Say "unsure" where no class is as probable as this; 0 always names one. By default that of the training; requests
    may ask for another."""
    explain: bool = True
    """Give heat maps to those who ask for them; a map costs an image's time again, for some classifiers 200 times."""
    max_files: int = 64
    """Take at most so many images in one request."""
    max_file_mb: float = 32.0
    """Take images of at most so many MiB."""
    max_pixels: int = 50_000_000
    """Take images of at most so many pixels."""
    max_waiting: int = 256
    """Let at most so many images wait, and as many for heat maps; further requests are told to come back later."""
    max_memory_mb: float = 512.0
    """Hold at most so many MiB of images that wait or are still coming in."""
    upload_timeout_s: float = 30.0
    """Give up on a request that has not come in whole after so many seconds."""
    answer_timeout_s: float = 30.0
    """Give up on a request that has waited so many seconds for its answer."""
    stop_timeout_s: float = 10.0
    """When told to stop, finish what is in work for at most so many seconds."""

    def __post_init__(self) -> None:
        expect(0 <= self.port <= 65535, "port", self.port, "0 to 65535")
        if self.threshold is not None:
            PredictConfig(threshold=self.threshold)
        DecodeConfig(max_pixels=self.max_pixels)
        for name in ("max_files", "max_waiting"):
            expect(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        for name in ("max_file_mb", "max_memory_mb"):
            expect(0.001 <= getattr(self, name) <= 1e6, name, getattr(self, name), "0.001 to a million")
        for name in ("upload_timeout_s", "answer_timeout_s", "stop_timeout_s"):
            expect(0 < getattr(self, name) <= 1e6, name, getattr(self, name), "above 0 and at most a million")
        if self.max_file_bytes > self.max_memory_bytes:
            raise SettingsError(
                f"max_file_mb is {self.max_file_mb:g}, more than the max_memory_mb of {self.max_memory_mb:g}"
            )
        if self.max_files > self.max_waiting:
            raise SettingsError(f"max_files is {self.max_files}, more than the {self.max_waiting} that may wait")
        for name in self.allow_host:
            is_name = re.fullmatch(r"[A-Za-z0-9._-]+", name) is not None
            expect(is_name, "allow_host", repr(name), "a name alone, such as photos.example.org")

    @property
    def max_file_bytes(self) -> int:
        """The largest image, in bytes."""
        return int(self.max_file_mb * 1024**2)

    @property
    def max_memory_bytes(self) -> int:
        """How much of images may be held, in bytes."""
        return int(self.max_memory_mb * 1024**2)


@dataclass(frozen=True)
class TrainConfig:
    """Every setting of a run; `config.json` holds one."""

    preset: str = "fast"
    """Name of the set of settings that this one began as."""
    scan: ScanConfig = field(default_factory=ScanConfig)
    clean: CleanConfig = field(default_factory=CleanConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    predict: PredictConfig = field(default_factory=PredictConfig)
    labels: LabelConfig = field(default_factory=LabelConfig)

    def flat(self) -> dict[str, Any]:
        """Return every setting by its own name, without sections, as plain JSON values."""
        settings: dict[str, Any] = {}
        for name, value in to_json(self).items():
            settings |= value if isinstance(value, dict) else {name: value}
        return settings

    def changed(self, **settings: Any) -> "TrainConfig":
        """Return the same settings but for some, each by its own name, as the flags have them.

        Raises:
            SettingsError: There is no setting of that name, or a value is of the wrong type or out of range.

        Example:
            >>> import mien
            >>> config = mien.PRESETS["classic"].changed(epochs=10, image_size=(128, 128))
            >>> config.fit.epochs, config.scan.image_size, config.clean.min_bytes
            (10, (128, 128), 10240)
        """
        document = to_json(self)
        sections = [values for values in document.values() if isinstance(values, dict)]
        known = {name for values in sections for name in values}
        if unknown := sorted(settings.keys() - known):
            raise SettingsError(f"unknown setting: {', '.join(map(repr, unknown))}; known: {', '.join(sorted(known))}")
        for values in sections:
            values |= {name: settings[name] for name in values.keys() & settings.keys()}
        return from_json(document)


PRESETS: dict[str, TrainConfig] = {
    "fast": TrainConfig(),
    "best": TrainConfig(
        preset="best",
        fit=FitConfig(
            method="finetune", epochs=15, batch_size=16, learning_rate=1e-4, dropout=0.2, patience=5, time_limit=10.0
        ),
        augment=AugmentConfig(augment=True, rotation=15.0, shift=0.1),
    ),
    # The tutorial's network and settings; it leaves out files under 10 KB.
    "classic": TrainConfig(
        preset="classic",
        scan=ScanConfig(image_size=(256, 256)),
        clean=CleanConfig(min_bytes=TUTORIAL_MIN_BYTES),
        fit=FitConfig(method="cnn", class_weights=True),
    ),
}


def preset_named(name: str) -> TrainConfig:
    """Return the settings of a preset.

    Raises:
        SettingsError: There is none of that name.
    """
    if name not in PRESETS:
        raise SettingsError(f"unknown preset {name!r}; known: {', '.join(PRESETS)}")
    return PRESETS[name]


def to_json(config: TrainConfig) -> dict[str, Any]:
    """Return the settings as plain JSON values, by section."""
    return dict(json.loads(json.dumps(asdict(config))))


def from_json(document: Any) -> TrainConfig:
    """Read settings that `to_json` wrote; a setting that is left out keeps its default.

    What config.json says beside the settings (`data`, `versions`, `relabel_sha256`) is passed over.

    Raises:
        SettingsError: An unknown name, or a value of the wrong type or out of range.
    """
    if not isinstance(document, dict):
        raise SettingsError(f"settings must be a JSON object, not {type(document).__name__}")
    settings = {name: value for name, value in document.items() if name not in _BESIDE}
    try:
        return built(TrainConfig, settings, name="the settings")
    except ValueError as error:
        raise SettingsError(str(error)) from error
