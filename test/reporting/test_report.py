# SPDX-License-Identifier: Apache-2.0
"""The page and its pictures, for runs as they come: whole, short, empty, interrupted, without a bag."""

import base64
import dataclasses
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
import synthetic_run as synthetic
import yaml
from matplotlib.figure import Figure
from PIL import Image

from safe_transfer_ros.record.iteration import read
from safe_transfer_ros.reporting.page import headline
from safe_transfer_ros.reporting.plots import PLOTS, save
from safe_transfer_ros.reporting.provenance import write_provenance
from safe_transfer_ros.reporting.report import report
from safe_transfer_ros.reporting.run import _interruption, load

NAMES = {plot.name for plot in PLOTS}


class Page(HTMLParser):
    """Text, images and balance of a page."""

    def __init__(self, text):
        super().__init__()
        self.images, self.figures, self.words, self.open = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "figure":
            self.figures.append(given["id"])
        if tag == "img":
            self.images.append(given["src"])
        assert not given.get("href", "").startswith("http") and tag not in ("script", "link")
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def page_of(path):
    page = Page(path.read_text())
    for name, image in zip(page.figures, page.images, strict=True):
        kind, data = image.split(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data) == (path.parent / "plots" / f"{name}.png").read_bytes()
    return page


def test_two_runs_side_by_side(make_run):
    adaptive = make_run("adaptive", iterations=10, spread=0.03)
    fixed = make_run("fixed", iterations=10, limit="fixed")
    path = report(adaptive, compare=fixed)
    assert path == adaptive / "report.html"
    page = page_of(path)
    assert set(page.figures) == NAMES
    assert "D safe = 0.5 N·m in all 10 iterations" in page.text
    assert "limit fixed at 3 N·m" in page.text
    assert "was over D safe = 0.5 N·m in 10 of 10 iterations" in page.text
    assert "a proposed torque was" in page.text  # reasons in plain words
    assert "agrees exactly" in page.text and "not a safety-rated one" in page.text
    assert "seed 0" in page.text and "numpy" in page.text and "d_safe" in page.text


def test_a_joint_that_stood_still_takes_the_green_from_the_verdict(make_run, one_plot):
    calm = report(make_run("calm", iterations=2)).read_text()
    assert 'class="verdict good"' in calm and "stood still" not in calm
    rule = {"d_safe": 0.05, "allow_unsafe_start": True, "use_limit_change": False}
    held = report(make_run("held", iterations=2, spread=0.025, held=True, **rule)).read_text()
    assert 'class="verdict plain"' in held and 'class="verdict good"' not in held
    assert "In 2 of 2 iterations, first in iteration 0, a joint that was asked for torque stood still" in held


def test_pictures_show_the_comparison_and_are_the_same_twice(make_run, tmp_path):
    adaptive = load(make_run("adaptive", iterations=9))
    fixed = load(make_run("fixed", iterations=9, limit="fixed"))
    for plot in PLOTS:
        if plot.name not in ("expected_damage", "unsafety"):
            continue
        alone = save(plot, adaptive, None, tmp_path / "plots").read_bytes()
        assert save(plot, adaptive, None, tmp_path / "plots").read_bytes() == alone
        path = save(plot, adaptive, fixed, tmp_path / "plots")
        assert path.read_bytes() != alone
        pixels = np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3).astype(int)
        for colour in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)):  # this run, the other one
            assert (np.abs(pixels - colour).max(axis=1) < 12).sum() > 100, (plot.name, colour)


@pytest.mark.parametrize("iterations", [1, 2])
def test_short_runs(make_run, iterations):
    page = page_of(report(make_run("run", iterations=iterations)))
    assert len(page.images) == len(NAMES)


def test_a_run_that_ended_before_its_first_iteration(make_run):
    folder = make_run("run", iterations=1, planned=60)
    shutil.rmtree(folder / "bag")
    (folder / "iterations.csv").unlink()
    page = page_of(report(folder))
    assert "No iteration was finished" in page.text and page.images == []
    assert "ended after 0 of 60 iterations" in page.text


def test_an_interrupted_run_shows_what_it_has(make_run):
    page = page_of(report(make_run("run", iterations=2, planned=60, unfinished_steps=7)))
    assert "2 of 60" in page.text and "iteration 2 was interrupted" in page.text
    assert len(page.images) == len(NAMES)


def test_without_a_bag_pictures_from_the_rows_remain(make_run):
    folder = make_run("run", iterations=3)
    report(folder)
    shutil.rmtree(folder / "bag")
    page = page_of(report(folder))
    assert set(page.figures) == NAMES - {"unsafety"}
    assert not (folder / "plots" / "unsafety.png").exists()  # nothing stale is left


@pytest.mark.filterwarnings("error")
def test_unsafety_that_nothing_was_seen_of_is_unknown(make_run, tmp_path, one_plot):
    synthetic.copied(make_run("run", iterations=2) / "bag", tmp_path / "bag", "/joint_states", lambda at, data: [])
    assert "unknown" in page_of(report(tmp_path / "bag")).text
    assert "unknown" not in page_of(report(tmp_path / "run" / "bag")).text


def test_a_bag_gives_a_report_and_rows_beside_it(make_run, one_plot):
    folder = make_run("run", iterations=2)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    path = report(folder / "bag")
    assert path == folder / "bag-report" / "report.html"
    assert len(page_of(path).images) == 1
    theirs, ours = read(folder / "iterations.csv"), read(folder / "bag-report" / "iterations.csv")
    assert theirs == ours
    config = yaml.safe_load((folder / "bag-report" / "config.yaml").read_text())
    assert config["/**"]["ros__parameters"]["d_safe"] == 0.5
    assert all(path.read_bytes() == content for path, content in before.items())
    report(folder / "bag")  # again, over the first


def test_names_of_runs_are_text_not_html(make_run, one_plot):
    folder = make_run("<b>&run", iterations=1)
    text = report(folder).read_text()
    assert "<b>&run" not in text and "&lt;b&gt;&amp;run" in text


def test_two_runs_of_one_rule_are_told_apart(make_run, one_plot):
    one, other = make_run("first", iterations=1), make_run("second", iterations=1)
    page = page_of(report(one, compare=other))
    assert "first (adaptive limit)" in page.text and "second (adaptive limit)" in page.text


def test_the_verdict_counts_iterations_over_the_bound(make_run):
    run = load(make_run("run", iterations=6, limit="fixed", spread=0.035))
    over = sum(record.expected_damage > 0.5 for record in run.records)
    assert 0 < over < 6
    assert f"over D_safe = 0.5 N·m in {over} of 6" in headline(run)


def test_provenance_of_the_run_is_shown(make_run, one_plot):
    folder = make_run("run", iterations=1)
    write_provenance(folder / "run.yaml", ["/usr/bin/safe_transfer", "up", "pr2_cup_swirl", "a b"])
    text = page_of(report(folder)).text
    assert "safe_transfer up pr2_cup_swirl 'a b'" in text and "Versions of the run" in text


def test_a_return_without_penalty_is_drawn_once(make_run, tmp_path):
    run = load(make_run("run", iterations=3))
    [returns] = [plot for plot in PLOTS if plot.name == "mean_return"]
    same = dataclasses.replace(
        run, records=tuple(dataclasses.replace(row, mean_task_return=row.mean_return) for row in run.records)
    )
    for shown, panels in ((run, 2), (same, 1)):
        figure = Figure()
        assert returns.draw(figure, shown, None) and len(figure.axes) == panels


def test_a_later_sessions_bag_has_the_iterations_to_the_end(make_run):
    folder = make_run("run", iterations=3)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["trainer"]["ros__parameters"] |= {"iterations": 1, "first_iteration": 2}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    rows = load(folder).records
    assert not _interruption(rows[2:], config) and not _interruption(rows, config)
    assert _interruption(rows[:2], config) == ("the run ended after 2 of 3 iterations",)
    assert _interruption((), config) == ("the run ended after 0 of 3 iterations",)
