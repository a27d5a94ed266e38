"""Pins the report's page in a real browser, from disk: numbers, names, sliders, frames, exposure, zoom, a phone."""

import json
import shutil
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
import torch
from support import ROOT, make_scene, run_script
from torchvision.io import ImageReadMode, decode_png, read_image

from frames.exr import load_target
from frames.radiance import tone_map

playwright = pytest.importorskip("playwright.sync_api", reason="pip install -r requirements.txt")

SCENES = ("<img src=x onerror=alert(1)> #%?&'\"", "A")  # in the order of the page
OTHER = "<b>other</b>"
SHOWN = "#panes[aria-busy=false]"


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium: the system's, or Playwright's own."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with playwright.sync_playwright() as driver:
        try:
            chromium = driver.chromium.launch(executable_path=found)
        except playwright.Error as error:
            pytest.skip(f"no Chromium here; make browser installs one ({str(error).splitlines()[0]})")
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> Path:
    """What test.py --report writes for two scenes, one with a hostile name, and another method with such a name."""
    root = tmp_path_factory.mktemp("report")
    for scene in SCENES:
        make_scene(root / "test" / scene, frames=6, size=(24, 32), noisy=1)
        (root / "other" / scene).mkdir(parents=True)
        for frame in (root / "test" / scene).iterdir():
            shutil.copy(frame / "noisy-0.exr", root / "other" / scene / f"{frame.name}.exr")
    shutil.rmtree(root / "test" / SCENES[0] / "frame-0002")
    checkpoint = ROOT / "tests" / "data" / "golden" / "paper.safetensors"
    compare = ["--compare", f"{OTHER}={root / 'other'}"]
    done = run_script("test.py", checkpoint, root, "--output_dir", root / "out", "--report", *compare)
    assert f"to look at in a browser: {root / 'out' / 'report' / 'index.html'}" in done.stdout
    return root / "out"


@pytest.fixture
def open_page(browser, output):
    """Opens the report from disk. At the end: no error, and nothing loaded from elsewhere."""
    problems, opened = [], []

    def open_it(width=1280, height=800, **more):
        page = browser.new_context(viewport={"width": width, "height": height}, **more).new_page()
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("dialog", lambda dialog: problems.append("a dialog"))
        own = ((output / "report").as_uri(), "data:", "blob:")
        page.on("request", lambda request: request.url.startswith(own) or problems.append(request.url))
        page.goto((output / "report" / "index.html").as_uri())
        page.wait_for_selector(SHOWN)
        opened.append(page)
        return page

    yield open_it
    for page in opened:
        page.context.close()
    assert not problems


def pixels(page, selector, index=0):
    """(3, H, W) bytes of a canvas, as int32."""
    url = page.locator(selector).nth(index).evaluate("canvas => canvas.toDataURL()")
    png = torch.frombuffer(bytearray(b64decode(url.partition(",")[2])), dtype=torch.uint8)
    return decode_png(png, ImageReadMode.RGB).int().numpy()


def frame_name(page):
    page.wait_for_selector(SHOWN)
    return page.locator("#frame-name").inner_text().split()[0]


def test_the_numbers_are_those_of_the_metrics(open_page, output):
    page = open_page()
    metrics = json.loads((output / "metrics.json").read_text())
    assert page.evaluate("metrics") == metrics
    digits = {"psnr": 2, "ssim": 3, "flip": 3, "relmse": 3, "tpsnr": 2}
    for summary in (metrics, metrics["after_warm_up"]):
        cells = page.eval_on_selector_all(
            "#metrics td", "cells => cells.map(cell => [{...cell.dataset}, cell.textContent])"
        )
        assert len(cells) == (len(summary["scenes"]) + 1) * 3 * len(metrics["mean"]["noisy"])
        for of, text in cells:
            methods = summary["mean"] if of["scene"] == "mean" else summary["scenes"][of["scene"]]
            value = methods[of["method"]][of["metric"]]
            assert float(text) == pytest.approx(value, abs=0.6 * 10 ** -digits[of["metric"]])
        page.check("#warm-up")
    captions = page.locator("figcaption output").all_inner_texts()
    first = metrics["frames"][SCENES[0]]["noisy"][0][0]
    assert captions[0].startswith(f"PSNR {first['psnr']:.2f}") and len(page.query_selector_all(".plot canvas")) >= 4


def test_names_are_text(open_page):
    page = open_page()
    assert page.locator("#scene option").all_inner_texts() == list(SCENES)
    assert page.locator("#metrics th").filter(has_text=OTHER).count() == 3
    assert page.locator("main img, main b").count() == 0
    page.keyboard.press("n")
    page.wait_for_selector(SHOWN)
    assert page.locator("#scene").input_value() == "1" and page.locator("figcaption output").first.inner_text()


def test_sliders_move_by_mouse_and_by_keyboard(open_page):
    page = open_page()
    slider = page.locator("img-comparison-slider").first
    box = slider.bounding_box()
    assert slider.evaluate("slider => slider.value") == 50
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 4)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 4)
    page.mouse.up()
    assert slider.evaluate("slider => slider.value") == pytest.approx(25, abs=1)
    slider.focus()
    page.keyboard.down("ArrowRight")
    page.wait_for_function("document.activeElement.value > 30")
    page.keyboard.up("ArrowRight")
    assert frame_name(page) == "frame-0000"  # the slider's arrows are not the frames'


def test_frames_change_by_scrubber_keys_and_playing(open_page):
    page = open_page()
    first = pixels(page, "canvas[slot=second]")
    page.keyboard.press("ArrowRight")
    assert frame_name(page) == "frame-0001" and not np.array_equal(pixels(page, "canvas[slot=second]"), first)
    page.keyboard.press(".")
    assert frame_name(page) == "frame-0003"  # after the gap
    page.keyboard.press(",")
    page.keyboard.press(",")
    assert frame_name(page) == "frame-0000" and np.array_equal(pixels(page, "canvas[slot=second]"), first)
    page.locator("#frame").fill("4")
    assert frame_name(page) == "frame-0005"
    page.locator("#frame").press("ArrowLeft")
    assert frame_name(page) == "frame-0004"
    page.keyboard.press("Space")
    page.wait_for_function("document.getElementById('frame').value === '1'")  # once around
    page.click("#play")
    assert page.locator("#play").inner_text() == "▶"


def test_pictures_are_tone_mapped_as_test_py_does(open_page, output):
    page = open_page()
    page.select_option("#scene", SCENES[1])
    page.wait_for_selector(SHOWN)
    page.evaluate(
        "sources.forEach((canvas, choice) => document.body.append(Object.assign(canvas, {id: 'c' + choice})))"
    )
    shown, png = pixels(page, "#c1"), read_image(str(output / SCENES[1] / "frame-0000.png")).numpy()
    assert np.abs(shown - png).max() <= 1
    for _ in range(4):
        page.keyboard.press("d")
    page.wait_for_selector(SHOWN)
    assert page.locator("#stops").inner_text() == "-2 EV"
    exposure = page.evaluate("scenes[1].exposure") / 4
    target = torch.from_numpy(load_target(output.parent / "test" / SCENES[1] / "frame-0000" / "target.exr")[0])
    assert np.abs(pixels(page, "#c3") - tone_map(target, exposure).numpy() * 255).max() <= 1


def test_zoom_keeps_pixels_whole_and_is_common_to_all_panes(open_page):
    page = open_page()
    start = int(page.locator("#zoom").inner_text().removeprefix("fit, ").removesuffix("×"))
    for _ in range(3):
        page.keyboard.press("+")
    zoom = int(page.locator("#zoom").inner_text().removesuffix("×"))
    assert zoom > start
    page.keyboard.press("Shift+ArrowLeft")
    both = [pixels(page, f"canvas[slot={slot}]", pane) for slot, pane in (("second", 0), ("first", 1))]
    assert np.array_equal(*both)  # both show the reconstruction
    for axis in (1, 2):  # the picture changes only every `zoom` screen pixels
        changes = np.flatnonzero(np.diff(both[0], axis=axis).any(axis=(0, 3 - axis)))
        assert len(changes) > 2 and not ((changes - changes[0]) % zoom).any()
    box = page.locator("img-comparison-slider").first.bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 20 - 2 * zoom, box["y"] + 20)
    page.mouse.up()
    assert not np.array_equal(pixels(page, "canvas[slot=first]", 1), both[1])  # dragging moves every pane
    page.keyboard.press("0")
    assert page.locator("#zoom").inner_text() == f"fit, {start}×"


def test_a_phone_can_do_it_too(open_page):
    page = open_page(390, 844, device_scale_factor=3, is_mobile=True, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    for selector in ("#scene", "#play", "#frame", "#exposure", "#zoom-in", "#fit", "img-comparison-slider"):
        box = page.locator(selector).first.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390 and box["width"] >= 36
    # before the touches that are sent by hand: while a browser still handles those, it drops a tap
    page.tap("#play")
    page.wait_for_function("document.getElementById('frame').value > 1")
    page.tap("#play")
    touch = page.context.new_cdp_session(page)
    box = page.locator("img-comparison-slider").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 3
    for kind, places in (("touchStart", [x]), ("touchMove", [x + 10]), ("touchMove", [x + 90]), ("touchEnd", [])):
        points = [{"x": place, "y": y} for place in places]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    # waited for, not read at once: a busy browser handles touches later
    wanted = 50 + 90 / box["width"] * 100
    page.wait_for_function(f"Math.abs(document.querySelector('img-comparison-slider').value - {wanted}) < 2")
    # two fingers
    for kind, spread in (("touchStart", 10), ("touchMove", 30), ("touchMove", 60), ("touchEnd", None)):
        points = [] if spread is None else [{"x": box["x"] + 70 + s * spread, "y": y, "id": s} for s in (0, 1)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    page.wait_for_function("!document.getElementById('zoom').innerText.startsWith('fit')")
