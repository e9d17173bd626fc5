"""The quantities of `make bench-fair`, on traces whose answers are known by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.fair.trace import Run, jain, longest_gap, percentile, read, service


def test_equal_shares_are_perfectly_fair_and_one_of_four_with_all_is_a_quarter():
    assert jain([2.0, 2.0, 2.0]) == pytest.approx(1)
    assert jain([5.0, 0.0, 0.0, 0.0]) == pytest.approx(0.25)


def test_a_run_counts_only_as_far_as_it_lies_in_the_window():
    runs = [
        Run("a", 0, 0.0, 3.0),
        Run("a", 0, 9.0, 20.0),
        Run("b", 0, 4.0, 5.0),
        Run("c", 0, 0, 1),
    ]

    assert service(runs, 2, 10) == {"a": 2.0, "b": 1.0, "c": 0.0}


def test_a_gap_reaches_to_the_ends_of_the_window():
    assert longest_gap([1, 2, 3, 9.5], 2.5, 10) == 6.5
    assert longest_gap([4], 0, 10) == 6
    assert longest_gap([], 3, 10) == 7


def test_the_99th_percentile_of_few_samples_is_the_greatest():
    assert percentile(range(200), 0.99) == 198
    assert percentile([3, 1, 2], 0.99) == 3


def test_a_trace_is_read_in_the_order_of_the_starts(tmp_path: Path):
    trace = tmp_path / "trace"
    assert read(trace) == []
    trace.write_text("late 1.0 5.0 6.0\nearly 2.0 4.0 9.0\n")

    assert [(run.root, run.latency) for run in read(trace)] == [("early", 2.0), ("late", 4.0)]
