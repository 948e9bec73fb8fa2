from links import Links


def test_fr_1_an_address_gets_a_code():
    assert Links().add("https://example.com") == "3e9"


def test_a_code_leads_to_its_address():
    """FR-2: a code leads to its address."""
    links = Links()
    assert links.find(links.add("https://example.com")) == "https://example.com"
