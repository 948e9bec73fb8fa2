"""The addresses themselves, in memory."""

from typing import Dict, Optional


def is_address(value: str) -> bool:
    """Says whether a text is an address that may be shortened."""
    return value.startswith(("http://", "https://")) and " " not in value


class Links:
    """Keeps addresses by code."""

    def __init__(self) -> None:
        self._urls: Dict[str, str] = {}
        self._made = 1000

    def add(self, url: str) -> str:
        """Makes a code for an address."""
        if not is_address(url):
            raise ValueError("this is no address")
        self._made += 1
        code = format(self._made, "x")
        self._urls[code] = url
        return code

    def find(self, code: str) -> Optional[str]:
        """Gives the address behind a code, or nothing."""
        return self._urls.get(code)

    def remove(self, code: str) -> bool:
        """Forgets a code; says whether it was known."""
        return self._urls.pop(code, None) is not None
