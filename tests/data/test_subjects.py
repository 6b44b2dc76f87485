"""Groups that the user knows, told by the paths of files."""

import pytest

from conftest import dataset_of, record
from mien.core.progress import Silence
from mien.data.subjects import find_rule, guess_rule, with_subjects
from mien.errors import SettingsError


@pytest.mark.parametrize(
    ("rule", "path", "expected"),
    [
        ("folder", "ill/p7/a/1.png", "p7/a"),
        ("folder", "ill/1.png", ""),
        (r"name:patient(\d+)", "ill/patient07_frame3.png", "07"),
        (r"name:p\d+", "ill/x p12.png", "p12"),
        (r"name:p(\d+)?", "ill/p.png", ""),
        (r"name:patient(\d+)", "ill/other.png", ""),
        ("none", "ill/p7/1.png", ""),
        ("auto", "ill/p7/1.png", ""),
    ],
)
def test_a_path_tells_the_group(rule: str, path: str, expected: str) -> None:
    assert find_rule(rule)(path) == expected


@pytest.mark.parametrize("rule", ["patient", "name:", "name:(", ""])
def test_what_is_no_rule_is_refused(rule: str) -> None:
    with pytest.raises(SettingsError, match="--group-by is"):
        find_rule(rule)


def test_images_without_a_group_are_told_and_a_rule_that_finds_none_is_refused() -> None:
    class Lines(Silence):
        said = ""

        def say(self, text: str) -> None:
            self.said += text

    dataset, lines = dataset_of(record("a/p1_1"), record("a/p1_2"), record("b/x")), Lines()
    found = with_subjects(dataset, r"name:p(\d+)_", progress=lines)
    assert [r.subject for r in found.records] == ["1", "1", ""]
    assert lines.said == "--group-by finds no group for 1 of 3 images; each is its own group: b/x"
    with pytest.raises(SettingsError, match=r"finds no group in any path, e\.g\. 'a/p1_1'"):
        with_subjects(dataset, "folder")


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ([f"{c}/patient{p:02}_frame{f}.png" for c in "ab" for p in range(14) for f in range(4)], "07"),
        ([f"{c}/s{p}/{f}.png" for c in "ab" for p in range(14) for f in range(4)], "s7"),
        ([f"{c}/video_{v}x-{f:03}.jpg" for c in "ab" for v in "defghijklmnopq" for f in range(5)], "video_dx-"),
        ([f"{c}/IMG_{n:04}.jpg" for c in "ab" for n in range(50)], None),
        ([f"{c}/image{n}.jpg" for c in "a" for n in range(50)], None),
        ([f"{c:03}/{n:05}.jpg" for c in range(20) for n in range(20)], None),
        # Named after their classes.
        ([f"{c * 5}/{c * 5}-{n:04}.png" for c in "abcdefghijklm" for n in range(20)], None),
        # Each person in each class.
        ([f"{c}/p{p:02}_{n}.png" for c in "abcdefghij" for p in range(14) for n in range(2)], "p07"),
        ([f"{c}/{word}.jpg" for c in "ab" for word in ("one", "two", "three", "four", "five", "six", "seven")], None),
    ],
)
def test_numbered_names_and_folders_are_guessed_to_be_groups(paths: list[str], expected: str | None) -> None:
    rule = guess_rule(dataset_of(*map(record, paths)))
    if expected is None:
        assert rule is None
    else:
        assert rule is not None
        assert any(expected in find_rule(rule)(path) for path in paths)
        assert len({find_rule(rule)(path) for path in paths}) < len(paths) / 2
