"""The main pages on a narrow screen, offline and with a keyboard, in headless Chromium."""

import json

import pytest

pytestmark = pytest.mark.slow

PAGES = (
    "",
    "start/own-data/",
    "start/table/",
    "start/own-loop/",
    "start/deploy/",
    "start/sensors/",
    "start/lakes/",
    "tutorials/images/",
    "tutorials/layer/",
    "tutorials/deploy/",
    "tutorials/theorem/",
    "faq/",
    "data/",
    "training/",
    "recipe/",
    "export/",
    "serving/",
    "platforms/",
    "certificates/",
    "theory/",
    "coq/",
    "checker/",
    "kernels/",
    "cuda/",
    "measurements/",
    "measurements/kernels-high-powers/",
    "api/",
    "reference/nn/",
    "reference/operations/",
    "release/",
)
FOCUSED = """
const it = document.activeElement, style = getComputedStyle(it), box = it.getBoundingClientRect();
return {skip: it.classList.contains('md-skip'), tag: it.tagName,
        shown: box.width > 0 && box.height > 0 && style.visibility == 'visible' &&
               style.opacity > 0.5 && box.bottom > 0,
        marked: (style.outlineStyle != 'none' && parseFloat(style.outlineWidth) > 0) ||
                it.classList.contains('md-skip')};
"""


def requested(browser) -> list[str]:
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [e["params"]["request"]["url"] for e in events if e["method"].endswith("WillBeSent")]
    return [url for url in sent if not url.startswith(("data:", "blob:"))]


@pytest.mark.parametrize("browser", [(360, 740)], indirect=True)
def test_no_page_is_wider_than_a_phone_or_asks_others(site: str, browser) -> None:
    wide = {}
    for page in PAGES:
        browser.get(site + page)
        assert "404" not in browser.title, page
        width = browser.execute_script("return document.scrollingElement.scrollWidth")
        if width > 360:
            wide[page] = width
        asked = requested(browser)
        assert asked
        assert [url for url in asked if not url.startswith(site)] == [], page
    assert wide == {}


def test_a_keyboard_reaches_the_text_first_and_sees_where_it_is(site: str, browser) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    browser.get(site + "training/")
    body = browser.find_element(By.TAG_NAME, "body")
    body.send_keys(Keys.TAB)
    first = browser.execute_script(FOCUSED)
    assert first["skip"] and first["tag"] == "A"
    unseen = []
    for _ in range(12):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        state = browser.execute_script(FOCUSED)
        if state["shown"] and not state["marked"]:
            unseen.append(state)
    assert unseen == []
