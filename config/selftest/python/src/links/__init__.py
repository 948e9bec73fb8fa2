"""Addresses behind short codes."""

from .store import Links, is_address

__all__ = ["Links", "is_address"]
