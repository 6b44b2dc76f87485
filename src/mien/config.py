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
Preset = Literal["fast", "best", "classic"]
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
    """Pixel values to map to black and white for images with more than 8 bits per channel, e.g. 0 4095 for a 12-bit
    instrument. By default, found from all such images in the folder."""
    ground: Ground = "auto"
    """Background for transparent images. auto: white, or a contrasting colour if they would be invisible on white. One
    choice for the whole folder."""
    max_pixels: int = 1024**3 // 12
    """Skip images with more pixels than this: a tiny file can unpack to fill all memory. Large JPEGs are decoded at up
    to 1/8 scale, and only the decoded pixels count."""

    def __post_init__(self) -> None:
        fits = self.levels is None or (-1e30 < self.levels[0] < self.levels[1] < 1e30)
        expect(fits, "levels", self.levels, "two numbers, the lower one first")
        expect(1 <= self.max_pixels <= 2**31, "max_pixels", self.max_pixels, f"1 to {2**31}")


@dataclass(frozen=True)
class EngineConfig:
    """Where the work is done."""

    engine: Engine = "local"
    """local: all cores of this machine. ray: every machine of a Ray cluster, with the same results; all machines must
    see the images at the same path."""
    ray_address: str = ""
    """Address of the Ray head node, as HOST:PORT. Default: RAY_ADDRESS, or else Ray is started on this machine only."""

    def __post_init__(self) -> None:
        is_address = re.fullmatch(r"|\S+:\d{1,5}", self.ray_address) is not None and "/" not in self.ray_address
        expect(is_address, "ray_address", repr(self.ray_address), "HOST:PORT, as ray start --head prints it")
        if self.ray_address and self.engine != "ray":
            raise SettingsError(f"--ray-address {self.ray_address} is for Ray: add --engine ray")


@dataclass(frozen=True)
class ScanConfig(DecodeConfig):
    """How image files become arrays."""

    image_size: tuple[int, int] = (224, 224)
    """Height and width, in pixels, to which every image is resized. Backbones with a fixed input size ignore it."""
    resize_mode: ResizeMode = "stretch"
    """How to fit an image of another shape: stretch it, crop its centre, or pad it with white."""
    faces: Faces = "auto"
    """Look at faces as well as at the whole image, with the built-in face detector and expression network. auto: on if
    at least 5 of 64 sampled images show a face."""
    max_memory_mb: int = 2048
    """Memory for resized images, in MiB. If a folder needs more, its images are decoded again when needed; networks in
    training use a temporary file."""

    def __post_init__(self) -> None:
        super().__post_init__()
        fits = all(22 <= side <= 2048 for side in self.image_size)
        expect(fits, "image_size", self.image_size, "22 to 2048 pixels each way")
        expect(self.max_memory_mb >= 0, "max_memory_mb", self.max_memory_mb, "0 or more")


@dataclass(frozen=True)
class FetchLimits:
    """Limits for downloading one URL."""

    timeout_s: float = 20.0
    """Give up on a URL after this many seconds, including redirects."""
    max_bytes: int = 32 * 1024**2
    """Give up on a URL that sends more bytes than this."""
    max_redirects: int = 3
    """Maximum number of redirects per URL."""
    allow_private: bool = False
    """Also fetch from this machine and from private networks."""

    def __post_init__(self) -> None:
        expect(0 < self.timeout_s <= 24 * 3600, "timeout_s", self.timeout_s, "above 0 and at most a day")
        for name, least in (("max_bytes", 1), ("max_redirects", 0)):
            expect(getattr(self, name) >= least, name, getattr(self, name), f"{least} or more")


@dataclass(frozen=True)
class IntakeLimits:
    """Limits for fetching images from lists, archives and repositories."""

    max_files: int = 100_000
    """Maximum number of images per list, and of files per archive or repository."""
    max_total_bytes: int = 4 * 1024**3
    """Maximum number of bytes per list, archive or repository, packed or unpacked."""
    max_ratio: float = 200.0
    """Refuse an archive that unpacks to more than this many times its size: it may be a bomb that fills the disk."""
    max_pixels: int = DecodeConfig.max_pixels
    """Refuse images with more pixels than this: a tiny file can unpack to fill all memory. Large JPEGs are decoded at
    up to 1/8 scale, and only the decoded pixels count."""
    source_timeout_s: float = 3600.0
    """Give up on downloading an archive or a repository after this many seconds."""
    retries: int = 2
    """Number of retries after a temporary failure, such as a timeout or a busy server."""
    workers: int = 16
    """Number of URLs to fetch in parallel."""
    max_per_host: int = 4
    """Number of URLs to fetch in parallel from one host."""

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
    """Skip files smaller than this many bytes. The preset classic uses 10240, as the tutorial does, unless that would
    leave a class empty."""
    min_side: int | Literal["auto"] = "auto"
    """Skip images whose shorter side is below this many pixels. auto: a quarter of the median in the folder, between 8
    and 56."""
    near_bits: int = 16
    """How different the 128-bit hashes of two images may be, in bits, for them to be compared as possible copies; the
    comparison itself uses the pixels. 0: only images with equal hashes."""
    keep: Keep = "largest"
    """Which image to use from a set of copies. largest: most pixels, then most bytes. first: first by name. all: every
    copy, all on the same side of a split."""

    def __post_init__(self) -> None:
        expect(self.min_bytes >= 0, "min_bytes", self.min_bytes, "0 or more")
        expect(self.min_side == "auto" or self.min_side >= 1, "min_side", self.min_side, "auto, or 1 or more")
        expect(0 <= self.near_bits <= 64, "near_bits", self.near_bits, "0 to 64")


@dataclass(frozen=True)
class LabelConfig:
    """Where the labels come from: by default folder names or a table, whichever the folder has."""

    labels: str = ""
    """Table with one row per image: CSV, TSV, JSON, JSON lines or Parquet. By default, one is looked for in the folder
    if its subfolders are not classes."""
    path_column: str = ""
    """Column with the paths or file names of the images. By default, the column whose values name images."""
    label_column: str = ""
    """Column with the labels. By default, the one named label or class, or the only possible one."""
    label_pattern: str = ""
    r"""Regular expression whose first group finds the label in a file name. Example: ^(.+)_\d+ finds cat in
    cat_12.jpg."""
    class_level: int | Literal["auto"] = "auto"
    """Which folder in the path to an image is its class: 1 is the first below DATA, 2 the second. auto: found from the
    folders."""
    classes: str = ""
    """Use only these classes, separated by commas."""
    exclude: str = ""
    """Skip files and folders with these names or paths, separated by commas. ? and * are wildcards."""
    merge_classes: str = ""
    """Merge classes: pet=cat+dog,wild=wolf. A name on its own merges all classes that differ from it only in case or
    spaces."""
    relabel: str = ""
    """CSV file with the columns path and decision: label_issues.csv of a run, filled in, or decisions.csv from mien
    review. A decision is a class name, leave-out or keep. Nothing changes on disk, and all other images stay in their
    splits. Images of other folders, listed by full path, are added to the training images."""

    def __post_init__(self) -> None:
        level = self.class_level
        fits = level == "auto" or (isinstance(level, int) and level >= 1)
        expect(fits, "class_level", repr(level), "auto, or 1 or more")


@dataclass(frozen=True)
class SplitConfig:
    """How images are split; those that go to neither validation nor test are for training."""

    val_fraction: float = 0.2
    """Fraction of each class for validation."""
    test_fraction: float = 0.1
    """Fraction of each class for the test split, which is used once, at the end."""
    seed: int = 42
    """Random seed for the split, the folds, the initial weights and the order of training."""
    folds: int | Literal["auto"] = "auto"
    """Number of cross-validation folds, on all images outside the test split; 0 for none. auto: 5 for up to 20,000
    images (fewer images with more than ten classes); none for the method cnn."""

    split: str = ""
    """Reuse the split of this run: its images and their copies stay where they were, and new images are split as usual.
    The fractions and groups are those of the run unless you set them. new: ignore a split that is given by folders or a
    table, and split again."""

    group_by: str = "auto"
    r"""Keep images of one patient, person, object or session on the same side of every split, and score by group.
    folder: one subfolder per group within each class folder. name:PATTERN: a regular expression that finds the group in
    the path, e.g. name:patient(\d+). column:NAME: a column of the label table. none: no groups. auto: uses groups found
    in file or folder names if the classifier does better on images from groups that it has seen."""

    def __post_init__(self) -> None:
        folds_fit = self.folds == "auto" or self.folds == 0 or 2 <= self.folds <= 100
        expect(folds_fit, "folds", self.folds, "auto, 0, or 2 to 100")
        for name in ("val_fraction", "test_fraction"):
            expect(0 < getattr(self, name) < 1, name, getattr(self, name), "more than 0 and less than 1")
        both = self.val_fraction + self.test_fraction
        expect(both < 0.999, "val_fraction + test_fraction", both, "less than 1, to leave images to train on")
        expect(0 <= self.seed < 2**32, "seed", self.seed, "0 to 4294967295")


@dataclass(frozen=True)
class FitConfig:
    """How the classifier is trained."""

    method: Method = "linear"
    """linear: a linear head on the features of a pretrained backbone. finetune: also trains the backbone, and keeps the
    result if it is clearly better on held-out images. cnn: the tutorial's small network, trained from scratch. The
    options below apply to finetune and cnn only, except --class-weights and --may-matter."""
    epochs: int = 20
    """Number of training epochs."""
    batch_size: int = 32
    """Number of images per batch."""
    learning_rate: float = 1e-3
    """Learning rate of Adam. With finetune, the initial rate, which decays to zero along a cosine."""
    dropout: float = 0.0
    """Dropout rate of the last hidden layer."""
    patience: int = 0
    """Stop when the validation loss has not improved for this many epochs; 0 runs them all. The best epoch is kept
    either way."""
    class_weights: bool = False
    """Weight the classes so that each counts equally, however many images it has. On in the preset classic."""
    time_limit: float = 0.0
    """Maximum time for training networks, in minutes; the best weights so far are kept. 0: no limit. The preset best
    uses 10."""
    may_matter: str = ""
    """What may legitimately tell your classes apart, as colour does for ripe fruit: colour, brightness, sharpness,
    mirror, surroundings (separated by commas), or all. The classifier is tested on copies changed in each of the
    others, and trained on such copies if that helps."""
    precision: Precision = "auto"
    """Precision of training: float32, or bfloat16 with float32 weights. auto: bfloat16 if the processor supports it."""

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
    """The pretrained network that computes the features; the method cnn has none."""

    backbone: str = BUILT_IN_BACKBONE
    """Pretrained network. lite0: the built-in EfficientNet-Lite0. For linear, also a FILE.onnx of yours that maps
    images to features. For finetune, also a name from keras.applications, e.g. MobileNetV3Small."""
    weights: str = ""
    """Weights file for a keras.applications backbone. By default, Keras downloads the weights once."""
    pixel_mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Mean to subtract from red, green and blue (scaled to 0 to 1), for a FILE.onnx."""
    pixel_std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """Standard deviation to divide red, green and blue by, for a FILE.onnx."""

    def __post_init__(self) -> None:
        expect(self.backbone != "", "backbone", repr(self.backbone), "a name or a file")
        means_fit = all(-1000 <= mean <= 1000 for mean in self.pixel_mean)
        expect(means_fit, "pixel_mean", self.pixel_mean, "numbers from -1000 to 1000")
        stds_fit = all(1e-6 <= std <= 1000 for std in self.pixel_std)
        expect(stds_fit, "pixel_std", self.pixel_std, "numbers from 0.000001 to 1000")


@dataclass(frozen=True)
class AugmentConfig:
    """How the training images, and only those, are varied from epoch to epoch."""

    augment: bool = False
    """Augment the training images: vary them at random in each epoch."""
    rotation: float = 30.0
    """Maximum rotation, in degrees."""
    shift: float = 0.2
    """Maximum shift, as a fraction of the height and the width."""
    zoom: float = 0.2
    """Maximum zoom in or out, as a fraction."""
    flip: bool = True
    """Mirror half of the images left to right."""
    brightness: float = 0.2
    """Maximum change in brightness, as a fraction of full white."""
    contrast: float = 0.2
    """Maximum change in contrast, as a fraction."""

    def __post_init__(self) -> None:
        expect(0 <= self.rotation <= 180, "rotation", self.rotation, "0 to 180 degrees")
        for name in ("shift", "zoom", "brightness", "contrast"):
            expect(0 <= getattr(self, name) < 1, name, getattr(self, name), "0 or more and below 1")


@dataclass(frozen=True)
class PredictConfig:
    """When the classifier answers "unsure" instead of a class."""

    threshold: float = 0.0
    """Answer "unsure" if no class has at least this probability. 0: always name a class."""
    target_precision: float = 0.0
    """Choose the lowest threshold (at least --threshold) at which this fraction of the answers is right on images not
    trained on, e.g. 0.95. 0: off."""

    def __post_init__(self) -> None:
        expect(0 <= self.threshold <= 1, "threshold", self.threshold, "0 to 1")
        expect(0 <= self.target_precision < 1, "target_precision", self.target_precision, "0 or more and below 1")


@dataclass(frozen=True)
class NextConfig:
    """Which images to label next."""

    strategy: Strategy = "both"
    """What to list first. uncertain: images that the classifier is least sure about. diverse: images most unlike the
    training images and each other. both: the two combined. random: a random order, for comparison."""
    top: int = 100
    """Number of images to list; 0 for all."""
    seed: int = 42
    """Random seed."""

    def __post_init__(self) -> None:
        expect(self.top >= 0, "top", self.top, "0 or more")
        expect(0 <= self.seed < 2**32, "seed", self.seed, "0 to 4294967295")


@dataclass(frozen=True)
class SortConfig:
    """How images are sorted into class folders."""

    threshold: float | None = None
    """Put an image into the folder unsure if no class has at least this probability; with 0, only images unlike the
    training images go there. By default, the threshold of the run."""
    link: Link | None = None
    """Make links instead of copies, which take no space. hard: a second name for the same file, on the same disk.
    symbolic: a pointer to the file."""


@dataclass(frozen=True)
class ShardConfig:
    """How the predictions for very many images are written."""

    images_per_shard: int = 10_000
    """Number of predictions per shard. If the command is interrupted, at most this many are lost."""
    shard_format: ShardFormat = "parquet"
    """parquet (needs pyarrow) or csv."""

    def __post_init__(self) -> None:
        expect(1 <= self.images_per_shard <= 10**6, "images_per_shard", self.images_per_shard, "1 to 1000000")


@dataclass(frozen=True)
class ServeConfig:
    """Every setting of a server. The defaults are safe: local only, and no request can exhaust the machine."""

    host: str = "127.0.0.1"
    """Address to listen on. 127.0.0.1: this machine only. 0.0.0.0: all its networks."""
    port: int = 8000
    """Port to listen on; 0 picks a free one."""
    allow_host: tuple[str, ...] = ()
    """Host name by which clients may call the server, as in a URL; localhost and IP addresses are always allowed. Can
    be repeated."""
    api_key_file: Path | None = None
    """File with the key that clients must send in the header X-API-Key. Alternatively, set MIEN_API_KEY."""
    access_log: bool = True
    """Log each request as a line of JSON, without image names. Off while the output is a terminal."""
    allow_urls: bool = False
    """Let clients send the URL of an image, at a public address, instead of the image."""
    threshold: float | None = None
    """Answer "unsure" if no class has at least this probability. 0: always name a class. Clients may ask for another.
    By default, the threshold of the run."""
    explain: bool = True
    """Offer heat maps. A map takes as long as a prediction, or up to 200 times as long for some classifiers."""
    max_files: int = 64
    """Maximum number of images per request."""
    max_file_mb: float = 32.0
    """Maximum size of an image, in MiB."""
    max_pixels: int = 50_000_000
    """Maximum number of pixels of an image."""
    max_waiting: int = 256
    """Maximum number of images in the queue, and as many for heat maps. Beyond that, clients are told to retry
    later."""
    max_memory_mb: float = 512.0
    """Maximum memory for images that are waiting or still being uploaded, in MiB."""
    upload_timeout_s: float = 30.0
    """Close a request that has not been received in full after this many seconds."""
    answer_timeout_s: float = 30.0
    """Give up on a request that has waited this many seconds for its answer."""
    stop_timeout_s: float = 10.0
    """On shutdown, wait up to this many seconds for work in progress."""

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
            raise SettingsError(f"max_files is {self.max_files}, more than the max_waiting of {self.max_waiting}")
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
    """Every setting of a run, as stored in config.json.

    To start from a preset, use `mien.PRESETS["best"]` and its method `changed`. The defaults here are those of fast.
    """

    preset: str = "fast"
    """Name of the preset that these settings started from. It sets nothing."""
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
        raise SettingsError(f"unknown preset {name!r}. Choose from {', '.join(PRESETS)}")
    return PRESETS[name]


def starting_from(config: TrainConfig | None, preset: str | None = None) -> TrainConfig:
    """Return the settings of a config or of a preset.

    Args:
        config: All settings, if given.
        preset: The preset to use without a config. With one, it must be the preset of the config.

    Raises:
        SettingsError: The two contradict each other, the config has none of the values of its preset, or there is no
            such preset.
    """
    if config is None:
        return preset_named(preset or TrainConfig.preset)
    if preset not in (None, config.preset):
        raise SettingsError(
            f"the config has the settings of {config.preset!r}, but preset is {preset!r}. Give one of them, or "
            f"mien.PRESETS[{preset!r}].changed(...)"
        )
    fast, given = PRESETS["fast"].flat(), config.flat()
    named = PRESETS.get(config.preset, PRESETS["fast"]).flat()
    own = [name for name in fast if named[name] != fast[name] and name != "preset"]
    if own and all(given[name] != named[name] for name in own):
        raise SettingsError(
            f"the config is named {config.preset!r}, but has none of the settings of that preset. Start from "
            f"mien.PRESETS[{config.preset!r}].changed(...)"
        )
    return config


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
