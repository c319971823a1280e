"""The page "Try it" in headless Chromium: answers, refusals, keyboard, screens, no network."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

pytest.importorskip("selenium", reason="needs the extra 'docs'")
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]

RADIUS_BOUND = 2e-6
"""How far radii of two conforming hosts may be apart: docs/export.md, "Other hosts"."""


def part(browser: Any, name: str) -> Any:
    return browser.find_element(By.CSS_SELECTOR, f'[data-sn="{name}"]')


def opened(browser: Any, site: str) -> Any:
    browser.get(site + "try/")
    WebDriverWait(browser, 60).until(
        lambda driver: (
            driver.execute_script("return !!window.sortnetTry")
            and part(driver, "label").text.strip().isdigit()
        )
    )
    return browser


def run(browser: Any, script: str, *arguments: object) -> Any:
    """Await a script's value; an error comes back as {"error": message}."""
    return browser.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        f"(async () => {{ {script} }})().then(done, (error) => done({{ error: error.message }}));",
        *arguments,
    )


def test_held_out_digits_are_predicted_like_native_onnx_runtime(browser: Any, site: str) -> None:
    opened(browser, site)
    result = run(
        browser,
        """
        const { certified, scans } = window.sortnetTry;
        const all = Float32Array.from(scans.pictures.flat(), (value) => value / 16);
        const answer = await certified.predict(all);
        return { label: answer.label, radius: Array.from(answer.radius), native: scans.native };
        """,
    )
    assert result["label"] == result["native"]["label"] and len(result["label"]) == 360
    apart = np.abs(np.subtract(result["radius"], result["native"]["radius"]))
    assert apart.max() <= RADIUS_BOUND


@pytest.mark.parametrize("value", ["1.001", "-1e-6", "NaN", "Infinity", "16"])
def test_values_outside_the_box_are_refused(browser: Any, site: str, value: str) -> None:
    opened(browser, site)
    script = (
        "const { certified, scans } = window.sortnetTry;"
        "const x = Float32Array.from(scans.pictures[0], (value) => value / 16);"
        f"x[13] = {value}; return await certified.predict(x);"
    )
    assert "pixel 13 of picture 0" in run(browser, script)["error"]
    wrong = "return await window.sortnetTry.certified.predict(new Float32Array(63));"
    assert "64 values" in run(browser, wrong)["error"]


def test_no_attack_succeeds_inside_the_radius(browser: Any, site: str) -> None:
    opened(browser, site)
    result = run(
        browser,
        """
        const { smallestAttack, attack } = await import("../assets/try/certified.js");
        const { certified, scans } = window.sortnetTry;
        const rows = [];
        for (let i = 0; i < 12; i++) {
          const x = Float32Array.from(scans.pictures[i], (value) => value / 16);
          const answer = await certified.predict(x);
          const found = await smallestAttack(certified, x, answer.label[0]);
          const inside = answer.radius[0] > 0
            ? await attack(certified, x, answer.label[0], answer.radius[0]) : null;
          rows.push([answer.radius[0], found ? found.eps : 2, inside === null,
            found ? Math.max(...found.picture.map((v, k) => Math.abs(v - x[k]))) : 0]);
        }
        return rows;
        """,
    )
    assert len(result) == 12
    for radius, eps, stands, moved in result:
        assert stands and eps > radius and moved <= eps
    assert any(eps < 1 for _, eps, _, _ in result)  # the search finds something at all


def test_drawing_noise_and_attack_answer_in_words(browser: Any, site: str) -> None:
    opened(browser, site)
    assert "held-out scan 1 of 360" in part(browser, "scan").text
    assert "certified radius" in part(browser, "radius").text
    browser.execute_script(
        "const n = arguments[0]; n.value = 0.05; n.dispatchEvent(new Event('input'));",
        part(browser, "noise"),
    )
    WebDriverWait(browser, 60).until(
        lambda driver: "inside the certified radius: 64 of 64" in part(driver, "noise-text").text,
        "the noise was not answered",
    )
    part(browser, "attack").click()
    WebDriverWait(browser, 120).until(
        lambda driver: "Below it none exists" in part(driver, "attack-text").text,
        "the attack found nothing",
    )
    part(browser, "clear").click()
    WebDriverWait(browser, 60).until(lambda driver: part(driver, "label").text == "–")
    assert not part(browser, "attack").is_enabled()
    part(browser, "previous").click()
    WebDriverWait(browser, 60).until(lambda driver: "360 of 360" in part(driver, "scan").text)


def test_a_digit_can_be_drawn_by_keyboard_and_by_pointer(browser: Any, site: str) -> None:
    from selenium.webdriver import ActionChains

    opened(browser, site)
    part(browser, "clear").click()
    board = part(browser, "board")
    board.send_keys(Keys.ARROW_RIGHT * 3)
    for _ in range(7):
        board.send_keys(Keys.SPACE, Keys.SPACE, Keys.ARROW_DOWN)
    WebDriverWait(browser, 60).until(lambda driver: part(driver, "label").text == "1")
    board.send_keys(Keys.DELETE)
    WebDriverWait(browser, 60).until(lambda driver: part(driver, "label").text == "–")
    height = board.size["height"]
    ActionChains(browser).move_to_element_with_offset(
        board, 0, -height // 3
    ).click_and_hold().move_by_offset(0, 2 * height // 3).release().perform()
    WebDriverWait(browser, 60).until(lambda driver: part(driver, "label").text.isdigit())
    order = browser.execute_script(
        "const all = '#sn-try button, #sn-try canvas[tabindex], #sn-try input';"
        "return [...document.querySelectorAll(all)]"
        ".every((e) => e.tabIndex >= 0 && (e.textContent || e.getAttribute('aria-label')));"
    )
    assert order


@pytest.mark.parametrize("browser", [(360, 740), (1280, 900)], indirect=True)
def test_the_page_fits_the_screen(browser: Any, site: str) -> None:
    opened(browser, site)
    wide, seen = browser.execute_script(
        "return [document.documentElement.scrollWidth, window.innerWidth];"
    )
    assert wide <= seen


def test_nothing_is_fetched_from_elsewhere(browser: Any, site: str) -> None:
    opened(browser, site)
    part(browser, "attack").click()
    WebDriverWait(browser, 120).until(
        lambda driver: part(driver, "attack-text").text.startswith(("At", "No"))
    )
    asked = [
        json.loads(entry["message"])["message"]["params"]["request"]["url"]
        for entry in browser.get_log("performance")
        if '"Network.requestWillBeSent"' in entry["message"]
    ]
    assert asked and all(url.startswith((site, "data:", "blob:")) for url in asked), asked
    severe = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert not severe


def test_a_browser_without_webassembly_is_told(browser: Any, site: str) -> None:
    browser.execute_cdp_cmd(
        "Page.addScriptToEvaluateOnNewDocument", {"source": "delete globalThis.WebAssembly;"}
    )
    browser.get(site + "try/")
    WebDriverWait(browser, 30).until(lambda driver: "WebAssembly" in part(driver, "error").text)
    assert part(browser, "error").get_attribute("role") == "alert"
