import pytest

from links import Links


def test_scripts_are_refused():
    with pytest.raises(ValueError):
        Links().add("javascript:alert(1)")
