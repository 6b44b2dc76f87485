"""What the preset fast makes of changed images: grey, blurred, cut to a face and so on; and of shortcuts.

    python benchmarks/stress.py [FOLDER ...] [--only KIND ...] [--seeds 3] [--num-images 300]
    python benchmarks/stress.py FOLDER --planted [--num-draws 20]

Cleans each folder, and one of each kind that domains.py draws but for frames, whose labels are tossed. Splits it and
trains by five folds, as a training does, on the images as they are and, where a training would take these, with changed
copies beside them. Prints accuracy and cross-entropy of both on unchanged and on changed copies of all images that were
held out, the mean of the seeds, which decide split and folds; and how often copies were taken.

With --planted, draws at random two thirds of the images of a folder again and again, and gives one class a shortcut: no
colour, a black border, or blur. Printed is in how many draws the check or the changed images tell of it beyond chance;
and what is right of images changed likewise, before and after. Then the same without any shortcut, on labels that are
tossed: whatever is told then is a false alarm.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import ImageFilter, ImageOps

import mien
from domains import BACKBONE, CONFIG, KINDS, looked_at, save
from mien import Dataset
from mien.core import images
from mien.core.changes import CHANGES
from mien.data.shortcuts import find_shortcuts
from mien.data.splitting import folds
from mien.learning.face_features import with_faces
from mien.learning.features import ChangedImages, extract, extract_changed, fit_head_on
from mien.learning.heads import Head
from mien.learning.methods import places_seen
from mien.learning.withstanding import Withstood, ask_about, images_to_change, withstand
from mien.scoring.stress import Stressed, judge_stress, places_to_change

DRAWN = [kind for kind in KINDS if kind != "frames"]
NUM_FOLDS = 5
SHORTCUTS = {"no colour": "grey", "border": "middle", "blur": "blurred"}


class Trial:
    """A Dataset made ready: its features, and those of changed copies of all its images or of those that are tried."""

    def __init__(self, dataset: Dataset, *, of_all: bool) -> None:
        maker = with_faces(BACKBONE) if dataset.config.faces == "on" else BACKBONE
        self.dataset, self.num_face_features = dataset, maker.num_face_features
        self.features = extract(dataset, maker)
        places = places_to_change(dataset, dataset.indexes(), CHANGES, len(dataset.records))
        if not of_all:
            places = images_to_change(mien.split(dataset, CONFIG.split), ())
        self.copies = extract_changed(dataset, maker, places)

    def withstood(self, seed: int) -> tuple[list[Dataset], Withstood]:
        """Return the folds of one seed, and what a training makes of the changed images that it would try."""
        config = replace(CONFIG, split=replace(CONFIG.split, seed=seed))
        parts = list(folds(mien.split(self.dataset, config.split), NUM_FOLDS, config.split))
        chosen = {change.name: places for change, places in images_to_change(parts[0], ()).items()}
        tried = [among(each, chosen[each.change.name]) for each in self.copies]
        return parts, withstand(tried, parts, self.features, self.fit, shortcuts=aspects_of(self.dataset))

    def fit(self, part: Dataset, learnt_from: Sequence[ChangedImages]) -> Head:
        """Fit the head of a fold."""
        return fit_head_on(
            part,
            self.features,
            places_seen(part),
            CONFIG,
            changed=learnt_from,
            num_face_features=self.num_face_features,
        )


def aspects_of(dataset: Dataset) -> list[str]:
    """Return in what of the images the check finds a shortcut."""
    return [found.aspect for found in find_shortcuts(dataset) if found.aspect]


def among(copies: ChangedImages, places: np.ndarray) -> ChangedImages:
    """Return the changed images that were made of images at some places."""
    kept = np.isin(copies.places, places)
    return replace(copies, places=copies.places[kept], features=copies.features[kept])


def show(name: str, dataset: Dataset, seeds: Sequence[int]) -> None:
    """Print the rows of one folder."""
    trial = Trial(dataset, of_all=True)
    values: dict[str, list[list[tuple[float, float]]]] = {}
    num_taken = 0
    for seed in seeds:
        parts, withstood = trial.withstood(seed)
        num_taken += bool(withstood.learnt_from)
        for number, learnt_from in enumerate([(), withstood.learnt_from]):
            heads = [trial.fit(part, learnt_from) for part in parts]
            answers, unchanged = ask_about(trial.copies, parts, trial.features, heads)
            for key, found in {"unchanged": unchanged, **answers}.items():
                values.setdefault(key, [[], []])[number].append((found.share_right, found.loss))
    for key, several in values.items():
        cells = [f"{accuracy:.1%}, {loss:.3f}" for accuracy, loss in (np.mean(rows, axis=0) for rows in several)]
        print(f"| {name} | {key} | {' | '.join(cells)} |", flush=True)
    print(f"| {name} | copies taken | | {num_taken} of {len(seeds)} |", flush=True)


def plant(dataset: Dataset, folder: Path, shortcut: str, rng: np.random.Generator) -> Dataset:
    """Save two thirds of the images anew, those of one class with a shortcut, and look at them as a training does."""
    marked = rng.choice(dataset.class_names)
    places = dataset.indexes()
    chosen = rng.permutation(places)[: 2 * len(places) // 3]
    labels = dict(zip(chosen, rng.permutation(dataset.labels(chosen)), strict=True)) if not shortcut else {}
    for place in chosen:
        record = dataset.records[place]
        rgb = images.decode(images.read(dataset.root / record.path), dataset.config).rgb
        rgb.thumbnail((512, 512))
        if record.label == marked and shortcut == "no colour":
            rgb = rgb.convert("L").convert("RGB")
        if record.label == marked and shortcut == "border":
            rgb = ImageOps.expand(rgb, max(2, min(rgb.size) // 16), "black")
        if record.label == marked and shortcut == "blur":
            rgb = rgb.filter(ImageFilter.GaussianBlur(min(rgb.size) / 112))
        label = dataset.class_names[labels[place]] if labels else record.label
        path = folder / label / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        rgb.save(path, compress_level=1)
    return looked_at(folder)


def show_planted(path: Path, num_draws: int) -> None:
    """Print how often each shortcut is told and taken away."""
    dataset = looked_at(path)
    for shortcut in (*SHORTCUTS, ""):
        told = checked = 0
        shares: list[tuple[float, float, float]] = []
        for seed in range(num_draws):
            with tempfile.TemporaryDirectory() as folder:
                planted = plant(dataset, Path(folder), shortcut, np.random.default_rng(seed))
                trial = Trial(planted, of_all=False)
                withstood = trial.withstood(seed)[1]
                aspects = aspects_of(planted)
                checked += bool(aspects)
            found = judge_stress(withstood.answers, before=withstood.before, shortcuts=aspects)
            told += any(each.is_lower or each.was_lower for each in found)
            shares += [shares_of(each) for each in found if each.change == SHORTCUTS.get(shortcut, "grey")]
        unchanged, before, after = np.mean(shares, axis=0)
        print(
            f"| {path.name} | {shortcut or 'none, labels tossed'} | {told} of {num_draws} | {checked} of {num_draws} | "
            f"{unchanged:.1%} | {before:.1%} | {after:.1%} |",
            flush=True,
        )


def shares_of(stressed: Stressed) -> tuple[float, float, float]:
    """Return what is right of the unchanged images, and of changed ones before and after."""
    before = stressed.before or stressed.changed
    return stressed.unchanged.value or 0.0, before.value or 0.0, stressed.changed.value or 0.0


def main() -> None:
    """Read the arguments, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="a folder of class folders")
    parser.add_argument("--only", nargs="*", choices=DRAWN, default=DRAWN, metavar="KIND", help=", ".join(DRAWN))
    parser.add_argument("--num-images", type=int, default=300, help="how many to draw (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="how many (default: %(default)s)")
    parser.add_argument("--planted", action="store_true", help="plant shortcuts in each FOLDER")
    parser.add_argument("--num-draws", type=int, default=20, help="of each shortcut (default: %(default)s)")
    options = parser.parse_args()
    if options.planted:
        print(f"| folder | shortcut | told | found by the check | unchanged | changed, before | after |\n{'|---' * 7}|")
        for path in options.folders:
            show_planted(path, options.num_draws)
        return
    print(f"| folder | images are | as they are learnt from | with changed copies |\n{'|---' * 4}|", flush=True)
    for path in options.folders:
        show(path.name, looked_at(path), range(options.seeds))
    for kind in options.only:
        with tempfile.TemporaryDirectory() as folder:
            save(KINDS[kind](options.num_images, 0), Path(folder))
            show(kind, looked_at(Path(folder)), range(options.seeds))


if __name__ == "__main__":
    main()
