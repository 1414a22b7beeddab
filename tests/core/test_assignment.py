"""A partition while it is ours, and what is seen of it."""

from relay.core.assignment import Assignment


def test_an_assignment_says_which_one_it_is() -> None:
    """A partition may come and go many times; each time it is another one."""
    assert repr(Assignment("events", 3, generation=7)) == "Assignment(events[3]#7 OWNED)"
