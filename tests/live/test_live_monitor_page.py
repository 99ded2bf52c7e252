"""The page in a browser: what a person sees of a session, and its kill button."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from monitored import WRONG, Session, monitored
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from live.clock import SystemClock

CHROMIUM = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")
WAIT_S = 20

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="no chromium or no chromedriver on this machine: apt-get install chromium-driver"
)


@contextlib.contextmanager
def browser(width: int, dark: bool) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in ("--headless=new", "--disable-dev-shm-usage", f"--window-size={width},1100", "--hide-scrollbars"):
        options.add_argument(word)
    if dark:
        options.add_argument("--force-dark-mode")
        options.add_argument("--blink-settings=preferredColorScheme=0")
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # it does not run as root otherwise
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def until(driver: webdriver.Chrome, script: str) -> None:
    WebDriverWait(driver, WAIT_S).until(lambda found: found.execute_script(f"return {script}"), message=script)


def text(driver: webdriver.Chrome, where: str) -> str:
    return driver.find_element(By.CSS_SELECTOR, where).text


def keep(driver: webdriver.Chrome, path: Path) -> None:
    """A screenshot of the whole page."""
    shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
    path.write_bytes(base64.b64decode(shot["data"]))


def complaints(driver: webdriver.Chrome) -> list[str]:
    """What the console tells: a broken script, or something that the security policy forbids."""
    return [line["message"] for line in driver.get_log("browser") if line["level"] == "SEVERE"]


@pytest.fixture
def artefacts(tmp_path) -> Path:
    folder = Path(os.environ.get("SHADOWBOOK_ARTEFACTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def driven(work) -> Session:
    """Run ``work(server, session, end)``, which drives a browser, beside a monitor that ``end()`` ends."""
    session = Session()

    async def main() -> None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        async with monitored(session, SystemClock()) as server:
            working = asyncio.create_task(
                asyncio.to_thread(work, server, session, lambda: loop.call_soon_threadsafe(over.set))
            )
            ending = asyncio.create_task(over.wait())
            await asyncio.wait((working, ending), return_when=asyncio.FIRST_COMPLETED)
            ending.cancel()
        await working

    asyncio.run(main())
    return session


def open_page(driver: webdriver.Chrome, link: str) -> None:
    driver.get(link)
    until(driver, "document.querySelectorAll('.ladder tbody tr').length > 0")


def check_numbers(driver: webdriver.Chrome) -> None:
    """Of `monitored.view`, in the words of people."""
    assert text(driver, "#what") == "shadow\nkalshi\nrunning\nfeed live\nready\n2 checks fail\nno orders to the venue"
    assert "4,321 decisions · up 1 h 06 min" in text(driver, "#facts")
    touch = driver.find_element(By.CSS_SELECTOR, ".ladder tr.touch")
    assert touch.text.split() == ["53¢", "90.5"]  # 9,050 lots
    assert len(driver.find_elements(By.CSS_SELECTOR, ".ladder tbody tr")) == 21  # 10 + 10, and an order between levels
    row = "#result tbody tr:nth-child(1)"  # 10,000 + 5 x (299 + 40 x 0) / 100 = 10,014.95 dollars; 9,870 - 52 are free
    assert text(driver, row) == "agent executes +$14.95 $10,014.95 $9,818.00 $3.25 warning 12 1"
    assert "agent KXBTC-A 25 0 $13.00 $13.00" in text(driver, "#positions")  # 2,500 lots x 5,200
    assert "quoter KXBTC-A buy NO 25 at 46¢ (YES 54¢) 500 ms" in text(driver, "#positions")
    assert "buy YES 10 at 51¢\nasked for 50: per trade" in text(driver, "#proposals")
    assert "sell YES refused\nasked for 20: kill switch" in text(driver, "#proposals")
    assert len(driver.find_elements(By.CSS_SELECTOR, "#proposals td.differs")) == 2
    assert "69.4 µs" in text(driver, "#latency") and "observing" in text(driver, "#latency")
    assert text(driver, "#checks tr:nth-child(2) th") == "shield quiet"  # failures come first
    assert "The policy wants what limits forbid" in text(driver, "#checks tr:nth-child(2)")
    assert "a message was lost" in text(driver, "#alerts") and "123,456" in text(driver, "#counts")


@pytest.mark.parametrize(("width", "dark"), [(1440, False), (1000, True)])
def test_page_shows_the_view(artefacts, width, dark):
    def look(server, session, end):
        with browser(width, dark) as driver:
            open_page(driver, server.link)
            keep(driver, artefacts / f"monitor-{width}-{'dark' if dark else 'light'}.png")
            check_numbers(driver)
            overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert driver.execute_script(f"return {overflow}") == 0
            assert driver.execute_script("return matchMedia('(prefers-color-scheme: dark)').matches") is dark
            assert driver.current_url == server.url  # the token has been taken out of the address
            driver.find_element(By.CSS_SELECTOR, "[data-key='KXBTC-B']").click()
            assert WRONG in text(driver, "#book") and "Not to be trusted" in text(driver, "#book")  # text, not markup
            assert not complaints(driver)

    driven(look)


def test_kill_button_asks_kills_and_shows_it(artefacts):
    def press(server, session, end):
        with browser(1440, dark=False) as driver:
            open_page(driver, server.link)
            driver.find_element(By.ID, "kill").click()
            driver.find_element(By.ID, "back").click()
            assert not driver.find_element(By.ID, "sure").is_displayed() and not session.killed
            driver.find_element(By.ID, "kill").click()
            driver.find_element(By.ID, "reason").clear()
            driver.find_element(By.ID, "reason").send_keys("a test")
            keep(driver, artefacts / "monitor-kill.png")
            driver.find_element(By.ID, "now").click()
            until(driver, "document.title.startsWith('KILLED')")
            assert "Killed: a test" in text(driver, "#banners") and text(driver, "#kill") == "Killed"
            assert not driver.find_element(By.ID, "sure").is_displayed()
            keep(driver, artefacts / "monitor-killed.png")
            assert not complaints(driver)

    assert driven(press).killed == ["a test"]


def test_page_without_the_token_asks_for_it_and_says_when_the_runner_is_gone(artefacts):
    def press(server, session, end):
        with browser(1440, dark=False) as driver:
            open_page(driver, server.url)
            driver.find_element(By.ID, "kill").click()
            driver.find_element(By.ID, "now").click()
            until(driver, "document.getElementById('problem').textContent.includes('token is missing')")
            driver.find_element(By.ID, "token").send_keys("of another run")
            driver.find_element(By.ID, "now").click()
            until(driver, "document.getElementById('problem').textContent.includes('not the token of this run')")
            assert "Ctrl-C" in text(driver, "#problem") and not session.killed
            driver.find_element(By.ID, "back").click()
            end()
            until(driver, "document.body.classList.contains('old')")
            assert "The runner is gone" in text(driver, "#banners")
            keep(driver, artefacts / "monitor-gone.png")
            driver.find_element(By.ID, "kill").click()
            driver.find_element(By.ID, "token").clear()
            driver.find_element(By.ID, "token").send_keys("any")
            driver.find_element(By.ID, "now").click()
            until(driver, "document.getElementById('problem').textContent.includes('NOT killed')")

    driven(press)
