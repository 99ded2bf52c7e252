"""The HTML report: whole, self-contained, never overwritten."""

import re
from html.parser import HTMLParser

import pytest
from made_up import made_up
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from evaluation import plots
from evaluation.canvas import style
from evaluation.compare import Evaluation
from evaluation.report import refuse_existing, write_report
from evaluation.scorecard import scorecard

PLOTS = ["fill-models", "equity", "drawdown", "inventory", "fills", "actions", "markouts", "attribution"]
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Checker(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.loads = [], [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self._note(attrs)

    def handle_startendtag(self, tag, attrs):
        self._note(attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def _note(self, attrs):
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("href", "xlink:href", "src", "srcset", "data"):
                self.links.append(value)
            self.loads += re.findall(r"url\(([^)]*)\)", value or "")


def page_of(tmp_path, runs, manifest=None):
    judged = Evaluation(runs, next(iter(runs)))
    page = write_report(tmp_path / "report", judged, manifest or {"seed": 0}, scorecard(judged, resamples=100))
    text = page.read_text(encoding="utf-8")
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    return text, checker


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    folder = tmp_path_factory.mktemp("full")
    runs = {
        model: {
            "ppo": made_up(48, 60, skill=0.9),
            "noop": made_up(48, 60, rate=0.0),
            "quoter": made_up(48, 60, maker=True),
            "<script>": made_up(48, 60),
        }
        for model in ("probabilistic", "pessimistic", "optimistic")
    }
    return folder, *page_of(folder, runs, {"commit": "abc123", "versions": {"numpy": "2"}, "tapes": ["a", "b"]})


def test_every_part_is_there(full):
    folder, text, checker = full
    for key in PLOTS:
        assert key in checker.ids
        assert (folder / "report" / "plots" / f"{key}.png").stat().st_size > 1000
    assert text.count("<svg") == text.count("<figcaption>") == len(PLOTS)
    for wanted in ("abc123", "versions.numpy", "a, b", "summary realised=", "Settlement", "Sharpe, yearly", "paired"):
        assert wanted in text
    assert len(text) < 3_000_000


def test_it_loads_nothing_and_its_links_lead_somewhere(full):
    _, text, checker = full
    assert len(checker.ids) == len(set(checker.ids))
    for target in [*checker.links, *checker.loads]:
        assert target.startswith("#") and target[1:] in checker.ids, target
    assert "<script" not in text and "@import" not in text and "&lt;script&gt;" in text


def test_it_is_reproducible(tmp_path):
    runs = {"probabilistic": {"ppo": made_up(30, 30, skill=0.9), "quoter": made_up(30, 30, maker=True)}}
    assert page_of(tmp_path / "one", runs)[0] == page_of(tmp_path / "two", runs)[0]


def test_a_policy_that_never_trades_and_a_single_episode_are_shown_too(tmp_path):
    text, _ = page_of(tmp_path, {"queue": {"noop": made_up(1, 10, rate=0.0)}})
    assert "noop made 0.00 dollars" in text


def test_recorded_markets(tmp_path):
    text, _ = page_of(tmp_path, {"queue": {"ppo": made_up(12, 20, tapes=4), "noop": made_up(12, 20, tapes=4, rate=0)}})
    assert "over 4 markets" in text and "middle, MARKET-" in text


def test_an_existing_report_is_not_overwritten(full):
    folder, _, _ = full
    runs = {"queue": {"noop": made_up(2, 10)}}
    with pytest.raises(FileExistsError, match="never overwritten"):
        write_report(folder / "report", Evaluation(runs, "queue"), {})


@pytest.mark.parametrize("name", ["scorecard.json", "report.html", "plots"])
def test_what_is_there_is_named_before_any_work(tmp_path, name):
    refuse_existing(tmp_path)
    (tmp_path / name).mkdir()
    with pytest.raises(FileExistsError, match=f"{name} exists: a report is never overwritten; name another folder"):
        refuse_existing(tmp_path)


def test_titles_of_the_price_charts_stay_inside_the_figure():
    runs = {name: made_up(6, 20, tapes=2) for name in ("agent", "a baseline of some length")}
    with style():
        figure = plots.fills_on_price(runs, [("middle, KXBTC15M-26J…-LONGMARKET1", 0), ("worst, no. 2", 2)])
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        titles = [text for text in figure.findobj(Text) if "dollars" in text.get_text()]
        boxes = [text.get_window_extent(canvas.get_renderer()) for text in titles]
    assert len(boxes) == 4
    for box, other in ((boxes[0], boxes[1]), (boxes[2], boxes[3])):
        assert box.x1 < other.x0 and other.x1 <= figure.bbox.x1
