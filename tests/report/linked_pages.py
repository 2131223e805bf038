"""What the browser tests do with a linked view."""

import base64
from io import BytesIO

import numpy as np
from PIL import Image

READY_MS = 60_000
# The page of the first contrast of the example.
CONTRAST = (
    "group/task-stroop_space-MNI152NLin2009cAsym_node-datasetLevel_contrast-incongruentCongruent_report.html"
)


def start(page, nth=0):
    """Scroll to a view of the page and wait until it has drawn everything."""
    page.locator(".linked").nth(nth).scroll_into_view_if_needed()
    ready = f"document.querySelectorAll('.linked')[{nth}].dataset.ready"
    page.wait_for_function(ready, timeout=READY_MS)
    page.wait_for_function("document.querySelector('.linked-live .rules-here div')", timeout=READY_MS)
    settle(page)


def settle(page):
    """Wait until the view has drawn what was last asked of it."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def enter(page, selector, event, value):
    """Set a field of the first view as a user does."""
    page.eval_on_selector(
        f".linked-live {selector}",
        "(field, [event, value]) => { field[field.type === 'checkbox' ? 'checked' : 'value'] = value;"
        " field.dispatchEvent(new Event(event, {bubbles: true})); }",
        [event, value],
    )
    settle(page)


def picture(page, selector=".plane.z canvas"):
    """Return what a canvas of the first view shows: RGBA, shape (height, width, 4)."""
    address = page.eval_on_selector(f".linked-live {selector}", "canvas => canvas.toDataURL()")
    content = base64.b64decode(address.partition(",")[2])
    return np.asarray(Image.open(BytesIO(content)).convert("RGBA")).astype(int)


def number(words):
    return float(words.replace("−", "-").replace("< .", ".").replace(",", ""))


def place(page):
    """Return the position of the cross-hair as the panel has it."""
    return [number(page.locator(f".linked-live .at-{axis}").first.input_value()) for axis in "xyz"]


def count(page):
    """Return how many voxels the view says to show."""
    return int(page.locator(".linked-live .count").first.text_content().split(": ")[-1].split()[0])
