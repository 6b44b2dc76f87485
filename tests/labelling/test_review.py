"""The review: which images are shown, what a decision means, and what the classifier learns from it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import mien
from conftest import draw_folder, draw_image, record, save_image
from mien.config import CleanConfig
from mien.core.progress import Silence
from mien.data.cleaning import clean
from mien.data.dataset import Dataset
from mien.data.decisions import DecisionJournal, load_decisions
from mien.errors import OutputError, RequestError, SettingsError
from mien.labelling.opening import review_of
from mien.labelling.review import Review, number_of_path
from mien.runs.run import load_run

if TYPE_CHECKING:
    from mien.runs.run import Run

Opened = Callable[[Path], Review]


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Open reviews, which are closed in the end."""
    reviews: list[Review] = []

    def open_(path: Path) -> Review:
        reviews.append(review_of(path))
        return reviews[-1]

    yield open_
    for review in reviews:
        review.close()


@pytest.fixture
def review(copied: Path, opened: Opened) -> Review:
    """The review of a run of 24 images."""
    return opened(copied)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a copy of one image in both classes, below the current folder."""
    monkeypatch.chdir(tmp_path)
    data = draw_folder(tmp_path / "data", 12)
    shutil.copy(data / "happy" / "00.jpg", data / "sad" / "copy.jpg")
    return data


def paths_in(review: Review, queue: str, **asked: str) -> list[str]:
    return [image["path"] for image in review.images(queue, 0, 500, **asked)["images"]]


def test_no_image_of_the_test_is_in_any_queue(review: Review, run: "Run") -> None:
    of_test = {run.dataset.records[place].path for place in run.dataset.indexes("test")}
    shown = {path for queue in review.queues for path in paths_in(review, queue)}
    assert of_test and not of_test & shown
    assert len(shown | of_test) == len(run.dataset.records)


def test_a_run_is_shown_with_what_it_got_wrong_first(review: Review, run: "Run") -> None:
    assert [*review.queues][:3] == ["issues", "doubtful", "conflicts"]
    predictions = run.out_of_fold_predictions
    assert predictions is not None
    wrong = predictions.indexes[predictions.probs.argmax(axis=1) != predictions.labels]
    expected = {run.dataset.records[place].path for place in wrong}
    assert set(paths_in(review, "doubtful")[: len(expected)]) == expected


def test_a_part_of_a_queue_is_asked_for_by_place_and_by_name(review: Review) -> None:
    every = paths_in(review, "class-0")
    assert [image["path"] for image in review.images("class-0", 2, 3)["images"]] == every[2:5]
    found = review.images("class-0", 0, 500, every[0].upper())
    assert (found["total"], found["images"][0]["path"]) == (1, every[0])


def test_what_no_page_asks_for_is_refused(review: Review) -> None:
    number = number_of_path(paths_in(review, "class-0")[0])
    for ask in (
        lambda: review.images("other", 0, 1),
        lambda: review.images("class-0", -1, 1),
        lambda: review.images("class-0", 0, 501),
        lambda: review.decide([number], "angry"),
        lambda: review.decide([number, 1], "sad"),
        lambda: review.record(1),
    ):
        with pytest.raises(RequestError):
            ask()
    assert review.journal.num_decided == 0


def test_a_decision_is_shown_told_to_other_tabs_and_taken_back(review: Review) -> None:
    first, second = paths_in(review, "class-0")[:2]
    revision = review.state()["revision"]
    told = review.decide([number_of_path(first), number_of_path(second)], "sad")
    assert [said["decision"] for said in told["changed"]] == ["sad", "sad"]
    assert told["num_decided"] == 2
    assert review.changes(revision)["changed"] == told["changed"]
    assert review.images("class-0", 0, 1)["images"][0]["decision"] == "sad"
    assert load_decisions(review.journal.path) == {first: "sad", second: "sad"}
    assert [said["decision"] for said in review.undo()["changed"]] == ["", ""]
    assert load_decisions(review.journal.path) == {}


def test_decisions_go_on_where_the_review_is_opened_again(copied: Path, opened: Opened) -> None:
    first = opened(copied)
    path = paths_in(first, "class-1")[0]
    first.decide([number_of_path(path)], "keep")
    first.close()
    assert opened(copied).images("class-1", 0, 1)["images"][0]["decision"] == "keep"


def test_nobody_is_asked_twice_about_a_doubt(copied: Path, opened: Opened) -> None:
    first = opened(copied)
    shown = paths_in(first, "doubtful")
    first.decide([number_of_path(shown[0])], "keep")
    assert paths_in(first, "doubtful") == shown
    first.train()
    assert shown[0] not in paths_in(first, "doubtful")
    first.close()
    assert paths_in(opened(copied), "doubtful") == shown[1:]


def test_a_second_review_of_a_run_is_refused(copied: Path, opened: Opened) -> None:
    opened(copied)
    with pytest.raises(OutputError, match="another mien"):
        opened(copied)


def test_a_folder_is_reviewed_before_any_training_and_nothing_is_written_into_it(folder: Path, opened: Opened) -> None:
    before = sorted(folder.rglob("*"))
    review = opened(folder)
    assert [*review.queues] == ["conflicts", "class-0", "class-1"]
    assert review.state()["run"] == ""
    assert review.journal.path == folder.with_name("data-decisions.csv")
    assert sorted(folder.rglob("*")) == before


def test_what_is_said_of_a_copy_holds_for_those_in_other_classes(folder: Path, opened: Opened) -> None:
    review = opened(folder)
    assert paths_in(review, "conflicts") == ["happy/00.jpg", "sad/copy.jpg"]
    review.decide([number_of_path("sad/copy.jpg")], "happy")
    assert load_decisions(review.journal.path) == {"sad/copy.jpg": "happy"}
    assert review.journal.decision("happy/00.jpg") == "keep"
    review.decide([number_of_path("happy/00.jpg")], "leave-out")
    assert load_decisions(review.journal.path) == {"sad/copy.jpg": "leave-out", "happy/00.jpg": "leave-out"}
    review.decide([number_of_path("sad/copy.jpg")], "keep")
    assert load_decisions(review.journal.path) == {"happy/00.jpg": "sad"}


@pytest.mark.slow
@pytest.mark.medium
def test_the_first_training_makes_a_run_that_the_review_goes_on_with(folder: Path, opened: Opened) -> None:
    review = opened(folder)
    review.decide([number_of_path("sad/copy.jpg")], "leave-out")
    review.train()
    result = review.result()
    assert result is not None and result["before"] is None and result["run"] == str(Path("runs", "train"))
    assert review.journal.path == Path("runs", "train", "decisions.csv")
    assert review.journal.decision("sad/copy.jpg") == "leave-out"
    assert "issues" in review.queues and not review.can_save


def mislabelled(run_path: Path, review: Review) -> list[str]:
    """Say of every image that may be asked about that it is of the other class."""
    shown = [*review.images("class-0", 0, 500)["images"], *review.images("class-1", 0, 500)["images"]]
    for label in ("happy", "sad"):
        other = "sad" if label == "happy" else "happy"
        review.decide([image["id"] for image in shown if image["label"] == label], other)
    return [image["path"] for image in shown]


def test_a_doubtful_image_comes_with_the_class_that_the_classifier_would_choose(review: Review) -> None:
    issues = review.images("issues", 0, 500)["images"]
    doubtful = review.images("doubtful", 0, 500)["images"]
    assert all(image["suggested"] not in ("", image["label"]) for image in issues)
    assert doubtful and all(image["suggested"] in ("happy", "sad") for image in doubtful)
    assert all(0.5 <= image["prob"] <= 1 for image in [*issues, *doubtful])
    plain = review.images("class-0", 0, 1)["images"][0]
    assert (plain["suggested"], plain["prob"], plain["note"]) == ("", 0, "")


def test_training_again_says_what_the_decisions_changed(review: Review, copied: Path) -> None:
    mislabelled(copied, review)
    review.train()
    result = review.result()
    assert result is not None
    assert result["before"]["value"] > result["after"]["value"]
    assert result["num_images"] == len(review.dataset.indexes("test"))
    assert result["num_changed"] == len(result["changed"]) > 0
    assert all(image["before"] != image["after"] for image in result["changed"])
    assert result["verdict"].startswith("Too few changes to tell") and "McNemar" not in result["verdict"]
    assert result["notes"][0].startswith("McNemar's exact test: p = ")
    assert result["run"] == "" and review.can_save


def test_test_images_are_neither_shown_as_changed_nor_decided_on(review: Review, copied: Path) -> None:
    mislabelled(copied, review)
    review.train()
    result = review.result()
    of_test = {review.dataset.records[place].path for place in review.dataset.indexes("test")}
    assert result is not None and not of_test & {image["path"] for image in result["changed"]}
    with pytest.raises(RequestError, match="this image is in the test split"):
        review.decide([number_of_path(min(of_test))], "sad")


@pytest.mark.slow
def test_what_was_decided_while_a_run_was_saved_is_not_taken_for_what_it_learnt(
    review: Review, copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    class Deciding(Silence):
        """Decides while something is trained."""

        def say(self, text: str) -> None:
            if review.journal.num_decided == 0 and "run folder" in text:
                mislabelled(copied, review)

    review.train()
    review.save(Deciding())
    assert review.journal.num_decided > 0
    review.train()
    result = review.result()
    assert result is not None and result["num_changed"] > 0
    assert result["before"] != result["after"]


@pytest.mark.slow
def test_a_run_made_with_decisions_is_reviewed_again_by_the_labels_of_its_folders(
    review: Review, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: Opened
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = review.images("class-0", 0, 1)["images"]
    review.decide([image["id"] for image in shown], "sad")
    review.train()
    review.save()
    review.close()
    again = opened(Path("runs/train"))
    assert paths_in(again, "class-0")[:1] == [image["path"] for image in shown]
    assert [image["decision"] for image in again.images("class-0", 0, 1)["images"]] == ["sad"]


def test_folders_of_one_name_have_their_own_decisions(tmp_path: Path, opened: Opened) -> None:
    first, second = (draw_folder(tmp_path / name / "pics", 3) for name in ("a", "b"))
    review = opened(first)
    review.decide([number_of_path("happy/00.jpg")], "sad")
    assert opened(second).journal.num_decided == 0
    review.close()
    with pytest.raises(SettingsError, match="Leave out --relabel"):
        review_of(first, mien.LabelConfig(relabel=str(review.journal.path)))


def test_training_again_without_decisions_changes_nothing(review: Review) -> None:
    review.train()
    result = review.result()
    assert result is not None and result["before"] == result["after"]
    assert (result["num_changed"], result["verdict"][:30]) == (0, "No difference on the 2 test im")


@pytest.mark.slow
@pytest.mark.medium
def test_a_saved_run_is_that_of_train_and_has_the_decisions(
    review: Review, run: "Run", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = paths_in(review, "class-0")[0]
    review.decide([number_of_path(path)], "leave-out")
    review.train()
    review.save()
    saved = load_run("runs/train")
    config = run.config.changed(relabel=str(saved.path / "decisions.csv"), split=str(run.path))
    by_hand = mien.train(run.dataset.root, config, out=tmp_path / "by-hand")
    assert saved.dataset.fingerprint() == by_hand.dataset.fingerprint() != run.dataset.fingerprint()
    assert saved.test_predictions is not None and by_hand.test_predictions is not None
    np.testing.assert_allclose(saved.test_predictions.probs, by_hand.test_predictions.probs, atol=1e-5)
    assert load_decisions(saved.path / "decisions.csv") == {path: "leave-out"}
    assert review.run is not None and review.run.path == saved.path and not review.can_save


def test_a_class_that_is_called_as_a_decision_is_refused(tmp_path: Path) -> None:
    records = [record(f"{label}/{n}.jpg") for label in ("keep", "sad") for n in range(3)]
    dataset = Dataset(tmp_path, ("keep", "sad"), tuple(records))
    journal = DecisionJournal(tmp_path / "decisions.csv")
    with pytest.raises(SettingsError, match="keep"):
        Review(dataset, journal, mien.TrainConfig())


def test_only_what_is_an_image_is_shown(folder: Path, opened: Opened) -> None:
    (folder / "sad" / "notes.jpg").write_text("no image")
    save_image(folder / "sad" / "tiny.jpg", draw_image(99).resize((4, 4)))
    shown = paths_in(opened(folder), "class-1")
    assert "sad/notes.jpg" not in shown and "sad/tiny.jpg" in shown


def test_numbers_of_images_stay_when_others_are_added(folder: Path) -> None:
    before = {r.path: number_of_path(r.path) for r in clean(mien.scan(folder), CleanConfig()).records}
    save_image(folder / "happy" / "0.jpg", draw_image(99))
    after = {r.path: number_of_path(r.path) for r in mien.scan(folder).records}
    assert before.items() <= after.items()
    assert len(set(after.values())) == len(after)


@pytest.mark.slow
@pytest.mark.medium
def test_images_without_labels_are_labelled_where_they_lie_and_trained_on(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(4):
        save_image(tmp_path / "new" / f"{number}.jpg", draw_image(500 + number))
    review = review_of(copied, unlabelled=[Path("new")])
    assert next(iter(review.queues)) == "next"
    shown = review.images("next", 0, 500)["images"]
    assert {image["path"] for image in shown} == {str(tmp_path / "new" / f"{number}.jpg") for number in range(4)}
    assert all(image["note"] for image in shown)
    review.decide([shown[0]["id"], shown[1]["id"]], "happy")
    review.decide([shown[2]["id"]], "leave-out")
    review.train()
    result = review.result()
    assert result is not None and result["num_images"] == len(review.dataset.indexes("test"))
    review.save()
    review.close()
    saved = load_run("runs/train")
    added = {r.path: (r.label, r.split) for r in saved.dataset.records if Path(r.path).is_absolute()}
    assert sorted(added) == sorted([shown[0]["path"], shown[1]["path"]])
    assert {label for label, _ in added.values()} == {"happy"}
    assert "test" not in {split for _, split in added.values()}
    again = review_of(saved.path, unlabelled=[Path("new")])
    assert shown[0]["path"] not in {image["path"] for image in again.images("next", 0, 500)["images"]}
    assert again.journal.decision(shown[2]["path"]) == "leave-out"
    again.close()


def test_a_run_takes_no_flags_for_labels(copied: Path) -> None:
    with pytest.raises(SettingsError, match="Leave out the options for labels"):
        review_of(copied, mien.LabelConfig(exclude="sad"))


def test_a_folder_without_a_run_cannot_say_what_to_label_next(folder: Path) -> None:
    with pytest.raises(SettingsError, match="Train first"):
        review_of(folder, unlabelled=[folder])


def test_an_image_without_a_label_has_none_to_keep(copied: Path, tmp_path: Path) -> None:
    save_image(tmp_path / "new" / "a.jpg", draw_image(500))
    review = review_of(copied, unlabelled=[tmp_path / "new"])
    (image,) = review.images("next", 0, 500)["images"]
    with pytest.raises(RequestError, match="Choose its class"):
        review.decide([image["id"]], "keep")
    review.close()


@pytest.mark.slow
@pytest.mark.medium
def test_decisions_on_copies_count_where_only_they_bring_enough_of_a_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = draw_folder(tmp_path / "data", 10)
    shutil.copy(data / "happy" / "00.jpg", data / "sad" / "copy.jpg")
    review = review_of(data)
    review.decide([number_of_path("sad/copy.jpg")], "happy")
    review.train()
    assert review.run is not None
    of_test = {review.run.dataset.records[place].path for place in review.run.dataset.indexes("test")}
    review.close()
    run = mien.train(data, mien.TrainConfig(), out=tmp_path / "again", relabel=str(review.journal.path))
    assert run.dataset.fingerprint() == review.run.dataset.fingerprint()
    assert of_test and not of_test & {"happy/00.jpg", "sad/copy.jpg"}
