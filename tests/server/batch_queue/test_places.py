"""Paths of batch jobs: what lies below the root and nothing else, also when names change."""

from __future__ import annotations

import os

import pytest

from penstock.server.batch_queue import places
from penstock.server.batch_queue.places import PlaceRefused


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "root"
    (root / "in").mkdir(parents=True)
    (root / "in" / "rows.csv").write_text("a\n1\n")
    (tmp_path / "secret.csv").write_text("a\n9\n")
    (tmp_path / "elsewhere").mkdir()
    return root


@pytest.mark.parametrize(
    "path", ["../secret.csv", "in/../../secret.csv", "/etc/passwd", "", "in//rows.csv", "./x.csv",
             "in/.hidden.csv", "a\\b.csv", "a\nb.csv"],
)  # fmt: skip
def test_a_path_that_may_mean_a_file_elsewhere_is_refused(root, path):
    with pytest.raises(PlaceRefused):
        places.relative(root, path)


def test_a_path_below_the_root_may_be_absolute(root):
    assert places.relative(root, str(root / "in" / "rows.csv")) == "in/rows.csv"
    assert places.relative(root, "in/rows.csv") == "in/rows.csv"


def test_no_link_is_followed_to_read_or_to_write(root, tmp_path):
    (root / "link.csv").symlink_to(tmp_path / "secret.csv")
    (root / "folder").symlink_to(tmp_path / "elsewhere")
    os.link(tmp_path / "secret.csv", root / "hard.csv")
    (root / "inside.csv").symlink_to(root / "in" / "rows.csv")
    for path in ("link.csv", "folder/secret.csv", "hard.csv", "inside.csv", "in", "none.csv"):
        with pytest.raises(PlaceRefused), places.source(root, path):
            pass
    for path in ("folder/out.csv", "link.csv", "in", "none/out.csv"):
        with pytest.raises(PlaceRefused), places.target(root, path):
            pass


def test_what_is_held_stays_the_same_whoever_exchanges_its_name(root, tmp_path):
    with places.source(root, "in/rows.csv") as path, places.target(root, "in/out.csv") as (at, _):
        (root / "in").rename(root / "before")
        (root / "in").symlink_to(tmp_path / "elsewhere")
        assert path.read_text() == "a\n1\n"
        with places.work_directory(at, ".out.csv.batch") as work:
            (work / "part").write_text("x")
            (root / "before" / ".out.csv.batch").rename(root / "moved")
            (root / "before" / ".out.csv.batch").symlink_to(tmp_path)
            assert (work / "part").read_text() == "x"
        with pytest.raises(PlaceRefused, match="in the way"):
            places.remove_work(at, ".out.csv.batch")
    assert (tmp_path / "secret.csv").exists()
    assert not list((tmp_path / "elsewhere").iterdir())


def test_the_work_of_a_job_is_removed_whole(root):
    with places.target(root, "out.csv") as (folder, name):
        assert not places.exists(folder, name)
        with places.work_directory(folder, ".w") as work:
            (work / "part").write_text("x")
        places.remove_work(folder, ".w")
        places.remove_work(folder, ".w")
    assert sorted(one.name for one in root.iterdir()) == ["in"]
