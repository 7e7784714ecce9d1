"""Screenshots for the site, which tests take where the person who runs them wants some."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page


def keep(page: "Page", name: str) -> None:
    """Write a screenshot where the person who runs the tests wants it."""
    if folder := os.environ.get("SRCNN_SCREENSHOTS"):
        page.wait_for_timeout(1500)
        # Where this machine keeps its artifacts is nobody's business.
        place = page.get_by_text("Path: ")
        page.screenshot(path=Path(folder) / f"{name}.png", mask=[place], mask_color="white")
