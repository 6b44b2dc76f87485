"""Draws the figures of the ideas and computes the numbers on their pages, by small experiments.

Lines and letters are grey on a transparent background: dark on a light page, and light on a dark one.
"""

import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from mien.core.probabilities import best_temperature, softmax
from mien.core.scores import Score, wilson_score
from mien.data.cleaning import clean
from mien.data.scanning import scan
from mien.data.shortcuts import find_shortcuts
from mien.scoring.calibration import choose_threshold, measure_calibration, measure_coverage

Figures = tuple[str, ...]
BLUE, ORANGE, DARK = "#3f8fd0", "#d9722f", "#1c1f23"
# Stands for the colour of lines and letters, which `draw` leaves to the page's colour scheme.
GREY = "#808080"
_STYLE = '<style type="text/css">'
_SCHEMES = "svg{color:#5a6068}@media(prefers-color-scheme:dark){svg{color:#a4a9b1}}"
STYLE: dict[Any, Any] = {
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "axes.titlecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 11,
    "legend.frameon": False,
    "legend.labelcolor": GREY,
    "text.color": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "font.sans-serif": ["DejaVu Sans", "sans-serif"],
    # Letters as text: their outlines take more bytes.
    "svg.fonttype": "none",
    "svg.hashsalt": "mien",
}
NUM_IMAGES, NUM_BATCHES, BATCH_SIZE, NUM_EPOCHS = 301, 10, 32, 20


def draw(folder: Path) -> dict[str, Figures]:
    """Draw every figure into `folder`/pictures as an SVG file; return the numbers that a page with it must give."""
    figures: dict[str, Figures] = {}
    (folder / "pictures").mkdir()
    with mpl.rc_context(STYLE):
        for picture in PICTURES:
            name = f"{picture.__name__.replace('_', '-')}.svg"
            figure = Figure(figsize=(7, 3), layout="constrained")
            figures[name] = picture(figure, folder)
            drawn = io.StringIO()
            # Without a date, the same picture has the same bytes.
            figure.savefig(drawn, format="svg", metadata={"Date": None})
            svg = drawn.getvalue().replace(GREY, "currentColor").replace(_STYLE, _STYLE + _SCHEMES)
            (folder / "pictures" / name).write_text(svg, "utf-8")
    return figures


def _faces(folder: Path, label: str, num_faces: int) -> list[Image.Image]:
    """Return drawn people, cropped square, in styles that change from one to the next."""
    paths = sorted((folder / "people/data" / label).glob("*-[0-9]*.jpg"), key=lambda path: path.stem[-4:])[:num_faces]
    return [ImageOps.fit(Image.open(path).convert("RGB"), (160, 160)) for path in paths]


def _show(axes: Axes, face: Image.Image, *, frame: str = "") -> None:
    # Few pixels and colours: the picture is kept in git.
    small = face.resize((112, 112)).quantize(64, method=Image.Quantize.FASTOCTREE).convert("RGB")
    axes.imshow(np.asarray(small), interpolation="none")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set(visible=bool(frame), color=frame or GREY, linewidth=4)


def copies(figure: Figure, folder: Path) -> Figures:
    """A training image, and its mirrored, darker copy among the test images."""
    happy, sad = _faces(folder, "happy", 4), _faces(folder, "sad", 3)
    copy = ImageEnhance.Brightness(ImageOps.mirror(happy[1])).enhance(0.7)
    learnt, judged = (happy[0], happy[1], sad[0], sad[1], happy[2], sad[2]), (copy, happy[3])
    grid = figure.add_gridspec(2, 5, width_ratios=[1, 1, 1, 0.5, 1])
    places = [*((place // 3, place % 3) for place in range(6)), (0, 4), (1, 4)]
    for place, face in zip(places, (*learnt, *judged), strict=True):
        axes = figure.add_subplot(grid[place])
        _show(axes, face, frame=ORANGE if face in (happy[1], copy) else "")
        axes.set_title({(0, 1): "training", (0, 4): "test"}.get(place, ""))
    return ()


def reshuffled(figure: Figure, _folder: Path) -> Figures:
    """How much of the tutorial's test set was trained on, since it reshuffles in every epoch."""
    rng = np.random.default_rng(0)
    trained, shares = np.zeros(NUM_IMAGES, bool), []
    for _ in range(NUM_EPOCHS):
        trained[rng.permutation(NUM_IMAGES)[: 7 * BATCH_SIZE]] = True
        test = rng.permutation(NUM_IMAGES)[9 * BATCH_SIZE :]
        shares.append(float(trained[test].mean()))
    axes = figure.add_subplot()
    axes.plot(range(1, NUM_EPOCHS + 1), shares, "o-", color=ORANGE, label="reshuffled in every epoch")
    axes.plot([1, NUM_EPOCHS], [0, 0], "-", color=BLUE, linewidth=3, label="split once (mien)")
    axes.set(xlabel="epochs", ylabel="test images\ntrained on", xticks=range(0, NUM_EPOCHS + 1, 5))
    _percents(axes, "y")
    axes.legend(loc="center right")
    return (f"{shares[0]:.0%}", f"{shares[-1]:.0%}")


def learnt_by_heart(figure: Figure, _folder: Path) -> Figures:
    """What a classifier seems to know if labels are coin tosses, so that there is nothing to know."""
    shares = np.linspace(0, 1, 6)
    rng = np.random.default_rng(1)
    leaking = [np.mean([_score_by_nearest(rng, share, apart=False) for _ in range(20)]) for share in shares]
    honest = [np.mean([_score_by_nearest(rng, share, apart=True) for _ in range(20)]) for share in shares]
    axes = figure.add_subplot()
    axes.plot(shares, leaking, "o-", color=ORANGE, label="copies on both sides")
    axes.plot(shares, honest, "o-", color=BLUE, label="copies together (mien)")
    axes.set(xlabel="images that have a copy", ylabel="score", ylim=(0.4, 1.02))
    _percents(axes, "xy")
    axes.legend(loc="upper left")
    return (f"{np.interp(0.5, shares, leaking):.0%}", f"{np.mean(honest):.0%}")


def _score_by_nearest(rng: np.random.Generator, share: float, *, apart: bool, num_images: int = 200) -> float:
    """Score the label of the nearest image when this share of the images has a copy; labels mean nothing."""
    scenes = np.arange(num_images)
    scenes[: int(num_images * share)] //= 2
    places, labels = rng.normal(size=(num_images, 8))[scenes], rng.integers(0, 2, num_images)[scenes]
    places += 0.01 * rng.normal(size=places.shape)
    drawn = rng.permutation(num_images)
    # Split by scene or by image: that is the whole difference.
    for_test = drawn[scenes] < num_images // 5 if apart else drawn < num_images // 5
    gaps = np.linalg.norm(places[for_test, None] - places[~for_test], axis=2)
    return float((labels[~for_test][gaps.argmin(axis=1)] == labels[for_test]).mean())


def intervals(figure: Figure, _folder: Path) -> Figures:
    """Sixty tests of one classifier whose true accuracy is 85%, each on thirty images."""
    rng, true, num_images = np.random.default_rng(4), 0.85, 30
    scores = [wilson_score(int(rng.binomial(num_images, true)), num_images) for _ in range(60)]
    axes = figure.add_subplot()
    for place, score in enumerate(scores):
        color = BLUE if score.low <= true <= score.high else ORANGE
        axes.plot([place, place], [score.low, score.high], color=color, linewidth=2)
        axes.plot(place, _share(score), "o", color=color, markersize=4)
    axes.axhline(true, color=GREY, linewidth=1, linestyle="--")
    axes.set(xlabel="60 tests, each on 30 other images", ylabel="score", xticks=[])
    _percents(axes, "y")
    many = rng.binomial(num_images, true, 100_000)
    ends = {right: wilson_score(right, num_images) for right in range(num_images + 1)}
    held = np.mean([ends[right].low <= true <= ends[right].high for right in many.tolist()])
    values = [_share(score) for score in scores]
    missed = sum(not score.low <= true <= score.high for score in scores)
    return (str(wilson_score(27, 30)), f"{min(values):.0%}", f"{max(values):.0%}", str(missed), f"{held:.0%}")


def widths(figure: Figure, _folder: Path) -> Figures:
    """The interval around 90%, by the number of test images."""
    counts = (10, 30, 100, 300, 1000, 3000)
    scores = [wilson_score(count * 9 // 10, count) for count in counts]
    axes = figure.add_subplot()
    for place, score in enumerate(scores):
        axes.plot([place, place], [score.low, score.high], color=BLUE, linewidth=8, solid_capstyle="butt")
        axes.text(place, 1.02, f"{score.low:.0%} to {score.high:.0%}", ha="center", fontsize=9)
    axes.axhline(0.9, color=GREY, linewidth=1, linestyle="--")
    axes.set(xlabel="test images", ylabel="interval around 90%", xlim=(-0.6, len(counts) - 0.4))
    axes.set_xticks(range(len(counts)), [f"{count:,}" for count in counts])
    _percents(axes, "y")
    return ()


def baseline(figure: Figure, _folder: Path) -> Figures:
    """The same score against two different baselines."""
    axes = figure.add_subplot()
    for place, share in enumerate((0.5, 0.9)):
        score = wilson_score(270, 300)
        axes.barh(place, share, height=0.5, color=GREY, alpha=0.15)
        axes.text(0.01, place, f"always guessing happy: {share:.0%}", va="center")
        axes.plot([score.low, score.high], [place, place], color=BLUE, linewidth=3)
        axes.plot(_share(score), place, "o", color=BLUE, markersize=9)
    axes.set(xlim=(0, 1), ylim=(-0.6, 1.6), xlabel="accuracy")
    axes.set_yticks([0, 1], ["150 happy,\n150 sad", "270 happy,\n30 sad"])
    _percents(axes, "x")
    return ()


def folds(figure: Figure, _folder: Path) -> Figures:
    """Five trainings, each of which holds out a different fifth."""
    axes = figure.add_subplot()
    for turn in range(5):
        for part in range(5):
            color = ORANGE if part == turn else BLUE
            axes.add_patch(Rectangle((part, -turn), 0.94, 0.8, color=color))
            word = "test" if part == turn else "train"
            axes.text(part + 0.47, 0.4 - turn, word, color=DARK, ha="center", va="center")
        axes.text(-0.15, 0.4 - turn, f"training {turn + 1}", ha="right", va="center")
    axes.set(xlim=(-1.2, 5), ylim=(-4.1, 0.9))
    axes.set_axis_off()
    return ()


def _predictions(num_images: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return logits of two classes that are twice as large as they should be, and the labels."""
    rng = np.random.default_rng(2)
    meant = rng.normal(scale=1.6, size=num_images)
    labels = (rng.random(num_images) < 1 / (1 + np.exp(-meant))).astype(np.int64)
    return np.stack([-meant, meant], axis=1), labels


def sureness(figure: Figure, _folder: Path) -> Figures:
    """Confidence against accuracy, before and after dividing by a temperature."""
    logits, labels = _predictions(4000)
    fit, rest = slice(0, 2000), slice(2000, None)
    temperature = best_temperature(logits[fit], labels[fit])
    figures = [f"{temperature:.1f}"]
    for place, (name, by, color) in enumerate((("before", 1.0, ORANGE), ("after", temperature, BLUE))):
        found = measure_calibration(softmax(logits[rest] / by).astype(np.float32), labels[rest])
        axes = figure.add_subplot(1, 2, place + 1)
        axes.plot([0.5, 1], [0.5, 1], "--", color=GREY, linewidth=1)
        axes.plot([b.confidence for b in found.bins], [_share(b.accuracy) for b in found.bins], "o-", color=color)
        axes.set(title=name, xlabel="confidence", ylabel="accuracy")
        axes.set(xlim=(0.48, 1.02), ylim=(0.48, 1.02))
        _percents(axes, "xy")
        figures += [f"{found.confidence:.0%}", f"{found.error.value:.0%}"]
    right = (logits[rest].argmax(axis=1) == labels[rest]).mean()
    return (*figures, f"{right:.0%}")


def unsure(figure: Figure, _folder: Path) -> Figures:
    """What a threshold costs and gains."""
    logits, labels = _predictions(4000)
    probs = softmax(logits / best_temperature(logits, labels)).astype(np.float32)
    coverage = [row for row in measure_coverage(probs, labels) if row.accuracy.num_images >= 40]
    thresholds = [max(0.5, row.threshold) for row in coverage]
    axes = figure.add_subplot()
    axes.plot(thresholds, [_share(row.answered) for row in coverage], color=BLUE, label="images answered")
    axes.plot(thresholds, [_share(row.accuracy) for row in coverage], color=ORANGE, label="accuracy of the answers")
    axes.set(xlabel="threshold", ylim=(0, 1.02))
    _percents(axes, "xy")
    axes.legend(loc="lower left")
    chosen = choose_threshold(coverage, 0.9)
    if chosen is None:
        raise ValueError("no threshold reaches 90%")
    return (f"{chosen.threshold:g}", f"{chosen.answered.value:.0%}", f"{coverage[0].accuracy.value:.0%}")


def shortcut(figure: Figure, folder: Path) -> Figures:
    """Drawn people, the sad ones made darker, and what brightness alone predicts."""
    data = folder / "darker"
    for label, light in (("happy", 1.0), ("sad", 0.75)):
        (data / label).mkdir(parents=True, exist_ok=True)
        for number, face in enumerate(_faces(folder, label, 60)):
            ImageEnhance.Brightness(face).enhance(light).save(data / label / f"{number}.png")
    dataset = clean(scan(data))
    found = next(one for one in find_shortcuts(dataset) if one.fact == "brightness")
    grid = figure.add_gridspec(2, 4, width_ratios=[1, 1, 1, 3])
    axes = figure.add_subplot(grid[:, 3])
    for row, (label, color) in enumerate((("happy", BLUE), ("sad", ORANGE))):
        values = [record.brightness or 0.0 for record in dataset.records if record.label == label]
        axes.hist(values, bins=np.linspace(0.2, 0.9, 22).tolist(), color=color, alpha=0.7, label=label)
        for place in range(3):
            _show(figure.add_subplot(grid[row, place]), Image.open(data / label / f"{place}.png"))
    axes.set(xlabel="brightness", ylabel="images")
    _percents(axes, "x")
    axes.legend()
    return (str(found.accuracy), f"{found.baseline.value:.0%}")


def best(figure: Figure, _folder: Path) -> Figures:
    """The best score among classifiers that toss a coin, on one test of thirty images."""
    rng = np.random.default_rng(3)
    counts = (1, 3, 10, 30, 100, 300)
    scores = [float((rng.binomial(30, 0.5, (2000, count)) / 30).max(axis=1).mean()) for count in counts]
    axes = figure.add_subplot()
    axes.plot(range(len(counts)), scores, "o-", color=ORANGE, label="best score on that test")
    axes.plot([0, len(counts) - 1], [0.5, 0.5], color=BLUE, linewidth=3, label="true accuracy of each")
    axes.set_xticks(range(len(counts)), [f"{count}" for count in counts])
    axes.set(xlabel="classifiers tried on the same test", ylabel="score", ylim=(0.4, 1.0))
    _percents(axes, "y")
    axes.legend(loc="upper left")
    return (f"{scores[counts.index(100)]:.0%}",)


def _share(score: Score) -> float:
    if score.value is None:
        raise ValueError("nothing was counted")
    return score.value


def _percents(axes: Axes, which: str) -> None:
    for name in which:
        axis: Any = axes.xaxis if name == "x" else axes.yaxis
        axis.set_major_formatter(lambda value, _place: f"{value:.0%}")


PICTURES = (
    copies,
    reshuffled,
    learnt_by_heart,
    intervals,
    widths,
    baseline,
    folds,
    sureness,
    unsure,
    shortcut,
    best,
)
