"""The model card: what a classifier can do, and what it is and is not for, in Markdown, from its model file."""

import re
from collections.abc import Iterator

from mien.core.text import MANY_CLASSES, first_few, visible
from mien.data.dataset import PROBLEMS, SPLITS
from mien.errors import ModelFileError
from mien.model.classifier import ModelFacts, Provenance
from mien.model.prediction import UNSURE
from mien.scoring.results import Evaluation, Scores, scores_from_dict
from mien.scoring.stress import WORDS, weakness_of
from mien.scoring.verdict import headline

_MOODS = frozenset("angry anger calm cry crying disgust fear happy joy laugh mood neutral sad smile smiling".split())

_PEOPLE = (
    "Judging people. It learnt how images look that somebody sorted into these classes, and knows nothing about the "
    "people in them. Do not use it to decide about anyone's work, credit, care or access."
)
_IF_PEOPLE = "People, if the images show any. Do not use it to decide about anyone's work, credit, care or access."
_NOT_FOR = (
    "Images unlike its training images: another camera, another source, other subjects. Evaluate it on some of those "
    "first.",
    "Images of none of its classes: it still names one of them. It flags many images unlike its training images, but "
    "not all.",
)
_SMILE = "Reading feelings. A smile is not an emotion, and a sad face may be an actor's. It sorts looks, not moods."
_WORK = "Inferring the emotions of people at work or in schools. The EU forbids this (AI Act, Article 5(1)(f))."
_FACES = """## It uses faces

Besides the whole image, it looks at up to three faces. A face detector finds them, and a network trained on
expressions describes how they look, not what anyone feels. Both networks are part of mien. The detector misses
drawings, small faces in groups, and many faces that are turned away. The expression network is known to err on children
and on wrinkled faces that smile. If no face is found, only the whole image counts."""
_WITH_FACES = """
# Without faces, only the whole image counts. mien finds the faces and crops them.
inputs |= {"faces": numpy.zeros((1, 3, 64, 64), "uint8"), "face_weights": numpy.zeros((1, 3), "float32")}"""
_USE = """## How to use it

In this folder:

```console
$ mien predict model.onnx photo.jpg
$ mien predict model.onnx --about
$ mien evaluate . other-photos
```

To share it as a web page and an HTTP API: `mien serve model.onnx`.

From Python:

```python
import mien

classifier = mien.load("model.onnx")
for prediction in mien.predict(classifier, ["photo.jpg"]):
    print(prediction.label, prediction.probs)
```

With ONNX Runtime alone, without mien. The probabilities differ slightly, because mien also rotates images upright, puts
transparent images on a background, follows `resize_mode`, and shrinks large images with its own filter:

```python
import json, numpy, onnxruntime, PIL.Image

session = onnxruntime.InferenceSession("model.onnx")
facts = json.loads(session.get_modelmeta().custom_metadata_map["mien"])
image = PIL.Image.open("photo.jpg").convert("RGB").resize(facts["image_size"][::-1], PIL.Image.Resampling.BILINEAR)
inputs = {"images": numpy.asarray(image)[None]}FACES
(probs,) = session.run(["probs"], inputs)
print(dict(zip(facts["class_names"], probs[0].tolist())))
```"""
_LICENCE = """## Licence

The file contains no images, but was trained on them. Check that their licence allows your use.
"""


def model_card(facts: ModelFacts, *, use: bool = True) -> str:
    """Return the model card of a classifier. Names are escaped, so that none can become markup.

    Args:
        facts: The facts stored in its model file.
        use: Whether to include how to use the model file next to the card.

    Raises:
        ModelFileError: The scores in the file are damaged.

    Source:
        M. Mitchell et al., Model Cards for Model Reporting, FAT* 2019.
    """
    parts = [
        f"# Image classifier: {_listed(facts.class_names)}",
        *_judged(facts),
        *_changed(facts),
        "## What it is for\n\nClassifying images of the same kind, and from the same source, as its training images.",
        "## What it is not for\n\n" + "\n".join(f"- {text}" for text in limits(facts)),
        *([_FACES] if facts.faces == "on" else []),
    ]
    if facts.provenance is not None:
        parts += [_data(facts, facts.provenance), _making(facts, facts.provenance)]
    if use:
        parts.append(_USE.replace("FACES", _WITH_FACES if facts.faces == "on" else "", 1))
    return "\n\n".join([*parts, _LICENCE])


def limits(facts: ModelFacts) -> tuple[str, ...]:
    """Return what a classifier must not be used for, as sentences."""
    words = {word for name in facts.class_names for word in re.findall("[a-z]+", name.lower())}
    if words & _MOODS or facts.faces == "on":
        return (_SMILE, _WORK, _PEOPLE, *_NOT_FOR)
    # Fruit needs no paragraph about people. If faces were found, helpful or not, the images show some.
    return (_PEOPLE, *_NOT_FOR) if facts.faces == "unused" else (*_NOT_FOR, _IF_PEOPLE)


def scores_of(facts: ModelFacts) -> Scores | None:
    """Return the scores stored in a model file, if any.

    Raises:
        ModelFileError: The scores are damaged.
    """
    if not facts.scores:
        return None
    try:
        return scores_from_dict(facts.scores)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"the scores in the file are damaged: {error}") from error


def escaped(text: str) -> str:
    """Return text escaped for Markdown: no markup, links, table cells, HTML or new lines."""
    # Entities instead of backslashes, because every Markdown renderer knows them, even in tables. Harmless characters
    # stay as they are, for people who read the source. Dots in versions stay; others could form a link.
    return re.sub(
        r"[\"#$&*/:;<>?@\[\\\]^`{|}~]|(?<![^\W_])_|_(?![^\W_])|(?<!\d)\.|\.(?!\d)",
        lambda found: f"&#{ord(found[0])};",
        visible(text),
    )


def _judged(facts: ModelFacts) -> Iterator[str]:
    scores = scores_of(facts)
    if scores is None:
        yield "The file contains no scores, so the accuracy is unknown."
        return
    best = scores.judged
    yield headline(best, escaped(best.baseline_label))
    how = {
        "test": "on the test split (the saved classifier, on images held back until the end)",
        "out_of_fold": "in cross-validation (each image predicted by a classifier that was not trained on it)",
    }
    lines = [f"- Accuracy {evaluation.accuracy} {how[key]}." for key, evaluation in scores.by_source.items()]
    lines.append(f"- Always guessing {escaped(best.baseline_label)}: {best.baseline}.")
    many = len(best.classes) > MANY_CLASSES
    table = _table(
        ("class", "precision", "recall", "F1"),
        [
            [escaped(c.label), str(c.precision), str(c.recall), str(c.f1)]
            for c in (best.weakest(MANY_CLASSES) if many else best.classes)
        ],
    )
    which = f"The {MANY_CLASSES} of {len(best.classes)} classes with the lowest F1" if many else "By class"
    source = "in cross-validation" if scores.out_of_fold else "on the test split"
    yield (
        "## How it was evaluated\n\n" + "\n".join(lines) + f"\n\n{which}, {source}:\n\n{table}\n\n"
        f"{_sureness(facts, best, scores.test)}\n\n"
        f"95% intervals: {best.accuracy.method}; calibration: {best.calibration.error.method}. They hold only for "
        "images from the same source. Near-duplicates that were found are never in two splits."
    )


def _changed(facts: ModelFacts) -> Iterator[str]:
    scores = scores_of(facts)
    if scores is None or not scores.stressed:
        return
    told = weakness_of(scores.stressed) or "No drop in accuracy is beyond chance; small drops need more images to show."
    if any(each.before for each in scores.stressed):
        told += " It was also trained on changed copies of its training images."
    rows = [[WORDS[each.change], str(each.changed), f"{each.unchanged.value:.0%}"] for each in scores.stressed]
    yield (
        "## On changed images\n\n"
        "Held-out images were changed in ways that should not matter. "
        f"{told}\n\n{_table(('images that are', 'accuracy', 'unchanged'), rows)}"
    )


def _sureness(facts: ModelFacts, best: Evaluation, test: Evaluation) -> str:
    # A threshold chosen on the other images is tested on the test split.
    was_chosen = facts.provenance is not None and "target_precision" in facts.provenance.settings
    rows, where = (test.coverage, "test images") if was_chosen else (best.coverage, "images")
    lines = [f"Calibration: {best.calibration_text}."]
    for row in rows:
        if row.threshold == facts.threshold > 0:
            lines.append(f"Below a probability of {row.threshold:g} it says {UNSURE!r}.")
            lines.append(f"It answers {row.answered} of the {where}, and {row.accuracy} of those answers are correct.")
    return " ".join(lines)


def _data(facts: ModelFacts, provenance: Provenance) -> str:
    rows = [
        [escaped(name), *(str(counts.get(split, 0)) for split in SPLITS)] for name, counts in provenance.split.items()
    ]
    left_out = [f"- {count}: {PROBLEMS.get(code, escaped(code))}" for code, count in provenance.left_out.items()]
    lines = [
        "## The data",
        _table(("class", "training", "validation", "test"), rows[:MANY_CLASSES]),
        f"And {len(rows) - MANY_CLASSES} more classes." if len(rows) > MANY_CLASSES else "",
        f"The shortest side of any image is {provenance.smallest_side} pixels. "
        + ("Files skipped:" if left_out else "No file was skipped."),
        "\n".join(left_out),
        f"Fingerprint of the images: `{_hash(facts.data_fingerprint)}`\\\n"
        f"Fingerprint of their split: `{_hash(provenance.split_fingerprint)}`",
    ]
    return "\n\n".join(line for line in lines if line)


def _making(facts: ModelFacts, provenance: Provenance) -> str:
    height, width = facts.image_size
    settings = [f"{escaped(name)} = {escaped(str(value))}" for name, value in provenance.settings.items()]
    versions = [f"{escaped(name)} {escaped(version)}" for name, version in provenance.versions.items()]
    lines = (
        f"- Trained on {escaped(provenance.made_on)} with the preset {escaped(provenance.preset)} "
        f"(method {escaped(provenance.method)}), seed {provenance.seed}.",
        f"- Settings changed from the preset: {', '.join(settings) or 'none'}.",
        f"- Input: images of {width} x {height} pixels (resize mode: {facts.resize_mode}).",
        *(f"- {rule}" for rule in facts.rules),
        f"- Versions: {', '.join(versions)}.",
    )
    return "## How it was trained\n\n" + "\n".join(lines)


def _table(header: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(first_few(list(map(escaped, names)), MANY_CLASSES))


def _hash(text: str) -> str:
    return re.sub("[^0-9a-zA-Z]", "", text)
