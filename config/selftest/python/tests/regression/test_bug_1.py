from links import is_address


def test_bug_1_an_address_without_a_scheme_is_refused():
    assert not is_address("example.com")
