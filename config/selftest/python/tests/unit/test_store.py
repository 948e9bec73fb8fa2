import pytest

from links import Links, is_address


def test_a_code_leads_back_until_it_is_forgotten():
    links = Links()
    code = links.add("https://example.com")
    assert links.find(code) == "https://example.com"
    assert links.remove(code)
    assert not links.remove(code)
    assert links.find(code) is None


@pytest.mark.parametrize(
    ("text", "expected"), [("https://example.com", True), ("file:///etc", False), ("http://a b", False)]
)
def test_an_address_begins_with_http_or_https(text, expected):
    assert is_address(text) is expected
