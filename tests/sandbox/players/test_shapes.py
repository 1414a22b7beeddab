"""Shapes: read from a file, bounded, and refused with words that help."""

from pathlib import Path

import msgspec
import pytest

from relay.sandbox.shapes import InvalidShape, Shape, load_shape


def write(folder: Path, text: str | bytes) -> Path:
    """Write a shape's file."""
    file = folder / "shape.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_a_shape_is_read_from_yaml(tmp_path: Path) -> None:
    """Fields that are not named keep their defaults."""
    shape = load_shape(write(tmp_path, "content_seconds_min: 60\ncontent_seconds_max: 90.5  # short clips\npreroll_share: 0\n"))
    assert shape == Shape(content_seconds_min=60, content_seconds_max=90.5, preroll_share=0)


def test_a_shape_is_read_from_json(tmp_path: Path) -> None:
    """JSON needs no other reader."""
    assert load_shape(write(tmp_path, '{"hostile_share": 0.5, "events_exactly": 50}')) == Shape(hostile_share=0.5, events_exactly=50)


def test_an_empty_file_is_the_default_shape(tmp_path: Path) -> None:
    """Nothing said is nothing changed."""
    assert load_shape(write(tmp_path, "# all as it is\n")) == Shape()


@pytest.mark.parametrize(("text", "words"), [
    ("preroll_share: 1.5", "$.preroll_share"),
    ("preroll_share: often", "$.preroll_share"),
    ("break_ads_max: 0", "$.break_ads_max"),
    ("break_ads_max: 1.5", "$.break_ads_max"),
    ("ping_seconds: 0", "$.ping_seconds"),
    ("content_seconds_min: -1", "$.content_seconds_min"),
    ("ramp_up_seconds: .nan", "$.ramp_up_seconds"),
    ("ramp_up_seconds: .inf", "$.ramp_up_seconds"),
    ("prerol_share: 1", "prerol_share"),
    ("content_seconds_min: 9000", "content_seconds_min is above content_seconds_max"),
    ("events_exactly: 1", "at least 2"),
    ("{early_end_share: 0.9, vanish_share: 0.2}", "above 1"),
    ("- a\n- list", "Expected `object`"),
    ("a: [\n\n", "neither YAML nor JSON in line"),
    ("!!python/object:os.system {}", "neither YAML nor JSON"),
    (b"\xff\xff\xff", "neither YAML nor JSON"),
    (b"#" * 1_000_001, "larger than"),
])  # fmt: skip
def test_a_bad_shape_is_refused_with_its_place(tmp_path: Path, text: str | bytes, words: str) -> None:
    """The message names the file and the field, and what was expected."""
    file = write(tmp_path, text)
    with pytest.raises(InvalidShape) as refused:
        load_shape(file)
    assert words in str(refused.value)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """So is a folder."""
    with pytest.raises(InvalidShape, match="cannot read"):
        load_shape(tmp_path / "none.yaml")
    with pytest.raises(InvalidShape, match="cannot read"):
        load_shape(tmp_path)


def test_changes_are_checked_too() -> None:
    """`having` holds the bounds that a constructor in Python does not."""
    with pytest.raises(msgspec.ValidationError):
        Shape().having(hostile_share=2)
