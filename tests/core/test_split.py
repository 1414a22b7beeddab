"""What is kept of a record that has left in part."""

from relay.core.split import Letter, Split


def test_the_numbers_of_a_split_stand_in_memoirs() -> None:
    """Other numbers would make another thing of the memoirs that an earlier relay has written; nothing of a new split has left."""
    assert {letter.name: letter.value for letter in Letter} == {"NONE": 0, "PENDING": 1, "STORED": 2}
    split = Split(7)
    assert (split.offset, split.done, split.letter) == (7, 0, Letter.NONE)
