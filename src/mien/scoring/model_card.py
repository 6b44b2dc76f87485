"""The model card: what a classifier can do, what it is for and not for, in Markdown, from what its file says."""

import re
from collections.abc import Iterator

from mien.core.text import MANY_CLASSES, first_few, visible
from mien.data.dataset import PROBLEMS, SPLITS
from mien.errors import ModelFileError
from mien.model.classifier import ModelFacts, Provenance
from mien.model.prediction import UNSURE
from mien.scoring.results import Evaluation, Scores, scores_from_dict
from mien.scoring.stress import WORDS, weakness_of

_MOODS = frozenset("angry anger calm cry crying disgust fear happy joy laugh mood neutral sad smile smiling".split())
_NOT_FOR = (
    "Judging people. What it learnt is how images look that somebody sorted into these classes; it knows nothing of "
    "whoever is in them. Decide nothing about a person by it: no work, no credit, no care, no access.",
    "Images unlike those that it was trained on: another camera, another source, other people or things. Score it on "
    "some of those first.",
    "Anything that is none of its classes: it names one of them all the same. It points out images that are unlike "
    "those it was trained on, but not all of them.",
)
_SMILE = "Reading feelings. A smile is not an emotion, and a sad face may be an actor's: it sorts looks, not moods."
_WORK = (
    "Inferring the emotions of people at work or in schools: the European Union forbids it (AI Act, Article 5(1)(f))."
)
_FACES = """## It looks at faces

Beside the whole image, it looks at up to three faces in it. A detector finds them, and a network that was trained to
read expressions tells how they look, not what anybody feels. Both came with mien. The detector misses drawings, small
faces in groups, and many that are turned away; the network was seen to err on children and on wrinkled faces that
smile. Where no face is found, the answer is that of the whole image."""
_WITH_FACES = """
# Without faces it judges by the whole image alone; mien finds them and cuts them out.
inputs |= {"faces": numpy.zeros((1, 3, 64, 64), "uint8"), "face_weights": numpy.zeros((1, 3), "float32")}"""
_USE = """## How to use it

In this folder:

```console
$ mien predict model.onnx photo.jpg
$ mien predict model.onnx --about
$ mien evaluate . other-photos
```

To let others use it, by a page and an HTTP API: `mien serve model.onnx`.

From Python:

```python
import mien

classifier = mien.load("model.onnx")
for prediction in mien.predict(classifier, ["photo.jpg"]):
    print(prediction.label, prediction.probs)
```

Without mien, by ONNX Runtime alone; mien also turns an image upright, puts a transparent one on white, follows
`resize_mode` for one of another shape, and shrinks large ones in its own way, so that probabilities differ a little:

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

The images are not in the file, but what it knows comes from them: who may use them, and what for, is yours to know.
"""


def model_card(facts: ModelFacts, *, use: bool = True) -> str:
    """Return the model card of a classifier. The same facts give the same text; no name in it can become markup.

    Args:
        facts: What its file says.
        use: Whether it says how to use the file that it lies beside.

    Raises:
        ModelFileError: The scores in the file are damaged.

    Source:
        M. Mitchell and others, Model Cards for Model Reporting, FAT* 2019, in short.
    """
    parts = [
        f"# A classifier of images: {_listed(facts.class_names)}",
        *_judged(facts),
        *_changed(facts),
        "## What it is for\n\nSorting images of the same kind, from the same source, as those it was trained on.",
        "## What it is not for\n\n" + "\n".join(f"- {text}" for text in limits(facts)),
        *([_FACES] if facts.faces == "on" else []),
    ]
    if facts.provenance is not None:
        parts += [_data(facts, facts.provenance), _making(facts, facts.provenance)]
    if use:
        parts.append(_USE.replace("FACES", _WITH_FACES if facts.faces == "on" else "", 1))
    return "\n\n".join([*parts, _LICENCE])


def limits(facts: ModelFacts) -> tuple[str, ...]:
    """Return what a classifier must not be used for, in sentences."""
    words = {word for name in facts.class_names for word in re.findall("[a-z]+", name.lower())}
    return (_SMILE, _WORK, *_NOT_FOR) if words & _MOODS or facts.faces == "on" else _NOT_FOR


def scores_of(facts: ModelFacts) -> Scores | None:
    """Return the scores that a file carries, if any.

    Raises:
        ModelFileError: They are damaged.
    """
    if not facts.scores:
        return None
    try:
        return scores_from_dict(facts.scores)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(f"the scores in the file are damaged: {error}") from error


def escaped(text: str) -> str:
    """Return text of which Markdown makes nothing: no markup, no link, no table cell, no HTML, no new line."""
    # Entities, and not backslashes: every reader of Markdown knows them, within tables too. What means nothing within a
    # line stays, for those who read the file as it is. The points of a version may stay; others may make a link.
    return re.sub(
        r"[\"#$&*/:;<>?@\[\\\]^`{|}~]|(?<![^\W_])_|_(?![^\W_])|(?<!\d)\.|\.(?!\d)",
        lambda found: f"&#{ord(found[0])};",
        visible(text),
    )


def _judged(facts: ModelFacts) -> Iterator[str]:
    scores = scores_of(facts)
    if scores is None:
        yield "It carries no scores: nothing is known of how often it is right."
        return
    best = scores.judged
    yield (
        f"It is right for {best.accuracy} of images that it had not seen. "
        f"Always saying {escaped(best.baseline_label)} is right for {best.baseline}."
        + (" That it does better than that is not shown." if best.accuracy.low <= (best.baseline.value or 0) else "")
    )
    how = {
        "test": "The test: the saved classifier, on images that were held back and read once, at the end.",
        "out_of_fold": "Cross-validation: each image judged by a classifier made in the same way without it.",
    }
    lines = [f"- {how[key]} Accuracy {evaluation.accuracy}." for key, evaluation in scores.by_source.items()]
    many = len(best.classes) > MANY_CLASSES
    table = _table(
        ("class", "precision", "recall", "F1"),
        [
            [escaped(c.label), str(c.precision), str(c.recall), str(c.f1)]
            for c in (best.weakest(MANY_CLASSES) if many else best.classes)
        ],
    )
    which = f"The {MANY_CLASSES} of {len(best.classes)} classes with the lowest F1" if many else "By class"
    source = "cross-validation" if scores.out_of_fold else "the test"
    yield (
        "## How it was judged\n\n" + "\n".join(lines) + f"\n\n{which}, by {source}:\n\n{table}\n\n"
        f"{_sureness(facts, best, scores.test)}\n\n"
        f"The intervals are of 95%: {best.accuracy.method}; calibration: {best.calibration.error.method}. They hold "
        "for images from the same source, not for others. Near copies that were found never stood on both sides."
    )


def _changed(facts: ModelFacts) -> Iterator[str]:
    scores = scores_of(facts)
    if scores is None or not scores.stressed:
        return
    told = weakness_of(scores.stressed) or "No fall is beyond chance; smaller ones cannot be told with so few images."
    if any(each.before for each in scores.stressed):
        told += " It also learnt from changed copies of its training images."
    rows = [[WORDS[each.change], str(each.changed), f"{each.unchanged.value:.0%}"] for each in scores.stressed]
    yield (
        "## On changed images\n\n"
        "Copies of images that it had not seen were changed in what should not matter. "
        f"{told}\n\n{_table(('images that are', 'right', 'right where unchanged'), rows)}"
    )


def _sureness(facts: ModelFacts, best: Evaluation, test: Evaluation) -> str:
    calibration = best.calibration
    # A threshold that was chosen by the others is tried on the test.
    was_chosen = facts.provenance is not None and "target_precision" in facts.provenance.settings
    rows, where = (test.coverage, " of the test") if was_chosen else (best.coverage, "")
    lines = [f"It is {calibration.confidence:.0%} sure on average; calibration error {calibration.error}."]
    for row in rows:
        if row.threshold == facts.threshold > 0:
            lines.append(
                f"Below a probability of {row.threshold:g} it says {UNSURE!r}: it answers {row.answered} of the"
            )
            lines.append(f"images{where}, and {row.accuracy} of that is right.")
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
        f"The smallest side of an image used has {provenance.smallest_side} pixels. "
        + ("Files left out, and why:" if left_out else "No file was left out."),
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
        f"- Made on {escaped(provenance.made_on)}, by the preset {escaped(provenance.preset)} "
        f"(method {escaped(provenance.method)}), seed {provenance.seed}.",
        f"- Settings other than the preset's: {', '.join(settings) or 'none'}.",
        f"- It takes images of {width} x {height} pixels (resize mode: {facts.resize_mode}).",
        *(f"- {rule}" for rule in facts.rules),
        f"- Versions: {', '.join(versions)}.",
    )
    return "## How it was made\n\n" + "\n".join(lines)


def _table(header: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(first_few(list(map(escaped, names)), MANY_CLASSES))


def _hash(text: str) -> str:
    return re.sub("[^0-9a-zA-Z]", "", text)
