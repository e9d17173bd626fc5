"""`jobs list`, `jobs show`, `jobs tree` over real records."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from jobmonitor.cli import reading
from jobmonitor.records.store import Ending, Report
from tests.factories import RAISED, RETURNED
from tests.records.cli_world import Terminal


def listed(terminal: Terminal, *words: str) -> list[str]:
    """The ids that `jobs list` shows."""
    return [job["id"] for job in terminal.read("list", *words)["jobs"]]


# -- list ----------------------------------------------------------------------------------


def test_list_shows_root_jobs_newest_first_and_leaves_out_system_jobs(
    terminal: Terminal,
) -> None:
    root, child, _ = terminal.submit_family()
    system = terminal.submit(task="shop.tidy")
    newest = terminal.submit()
    assert listed(terminal) == [newest, root]
    assert listed(terminal, "--system") == [system]
    assert listed(terminal, "--all") == [newest, system, root]
    assert child in listed(terminal, "--parent", root)
    assert {root, child} < set(listed(terminal, "--root", root))


def test_list_filters_by_what_a_job_is(terminal: Terminal) -> None:
    failed = terminal.submit_running(run_by="alice")
    terminal.records.finish(failed, RAISED)
    low = terminal.submit(low_priority=True, label="Nightly 100%")
    tidy = terminal.submit(task="shop.tidy")
    assert listed(terminal, "--errors") == [failed]
    assert listed(terminal, "--no-errors") == [low]
    assert listed(terminal, "--low-priority") == [low]
    assert listed(terminal, "--normal-priority") == [failed]
    assert listed(terminal, "--run-by", "alice") == [failed]
    assert listed(terminal, "--q", "nightly 100%") == [low]
    assert listed(terminal, "--status", "pending") == [low]
    assert listed(terminal, "--status", "pending", "--status", "finished") == [low, failed]
    assert listed(terminal, "--all", "--type", "shop.tidy", "--type", "shop.no") == [tidy]


def test_list_goes_on_behind_the_cursor_it_printed(terminal: Terminal) -> None:
    ids = [terminal.submit() for _ in range(3)]
    first = terminal.run("list", "--limit", "2").stdout
    assert [ids[2] in first, ids[1] in first, ids[0] in first] == [True, True, False]
    assert first.splitlines()[-1].startswith("more: --cursor ")
    rest = terminal.run("list", "--limit", "2", "--cursor", first.split()[-1]).stdout
    assert [ids[1] in rest, ids[0] in rest, "--cursor" in rest] == [False, True, False]


def test_list_shows_how_a_job_stands(terminal: Terminal) -> None:
    root, child, _ = terminal.submit_family(label="Export all")
    terminal.records.claim(child)
    terminal.records.finish(child, RAISED)
    terminal.records.advance(root, Report(30, 120, "rows", has_progress=True))
    shown = terminal.run("list").stdout
    [line] = [line for line in shown.splitlines() if line.startswith(root)]
    for word in ("Export all", "In Progress", "25%", "1/2"):
        assert word in line


def test_list_says_where_there_is_nothing(terminal: Terminal) -> None:
    assert terminal.run("list").stdout == "no jobs here\n"
    for words in (("--run-by", "x"), ("--no-errors",), ("--system",), ("--type", "x")):
        assert terminal.run("list", *words).stdout == "no jobs here with these filters\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--limit", "0"), "limit must be 1 to 500"),
        (("--limit", "501"), "limit must be 1 to 500"),
        (("--cursor", "nonsense"), "cursor"),
    ],
)
def test_list_refuses_what_makes_no_sense_in_a_sentence(
    terminal: Terminal, words: tuple[str, ...], says: str
) -> None:
    answer = terminal.run("list", *words)
    assert (answer.exit_code, answer.stdout) == (1, "")
    [sentence] = answer.stderr.splitlines()
    assert says in sentence


def test_list_fits_a_terminal_of_100_columns(terminal: Terminal) -> None:
    root = terminal.submit_running(label="A long label " * 20)
    for _ in range(12):
        terminal.records.make(under=root)
    terminal.records.let_pass(100_000, root)
    terminal.records.finish(root, RAISED)
    lines = terminal.run("list").stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[1].startswith(f"{root}  A long")


# -- show ----------------------------------------------------------------------------------


def test_show_tells_the_whole_story_of_a_job(terminal: Terminal) -> None:
    job_id = terminal.submit_running(label="Export all", run_by="alice")
    terminal.records.finish(job_id, RAISED)
    terminal.run("restart", job_id, "--as", "bob", "--reason", "try again")
    terminal.records.claim(job_id)
    terminal.records.finish(job_id, RETURNED)
    shown = terminal.run("show", job_id).stdout
    for line in ("label         Export all", "run by        alice", "status        Finished"):
        assert line in shown
    assert "run 1: " in shown
    assert "with errors" in shown
    assert "restart by bob: try again" in shown
    facts = terminal.read("show", job_id)
    assert (facts["run"], facts["has_errors"], facts["root_id"]) == (2, False, job_id)
    assert [(run["run"], run["has_errors"]) for run in facts["runs"]] == [(1, True)]
    [restart] = [entry for entry in facts["events"] if entry["event"] == "restart"]
    assert (restart["actor"], restart["reason"]) == ("bob", "try again")


def test_show_prints_error_and_traceback_without_letting_them_steer(
    terminal: Terminal,
) -> None:
    job_id = terminal.submit_running()
    failed = Ending(
        has_errors=True, error="ValueError: \x1b[2Jno", traceback="Traceback\n  line 1\x1b[31m"
    )
    terminal.records.finish(job_id, failed)
    shown = terminal.run("show", job_id).stdout
    assert "error         ValueError: \\x1b[2Jno" in shown
    assert "    Traceback\n      line 1\\x1b[31m\n" in shown
    assert "\x1b" not in shown


def test_show_leaves_no_field_out(terminal: Terminal) -> None:
    job_id = terminal.submit_running()
    terminal.records.advance(job_id, Report(checkpoint='{"row": 17}'))
    facts = terminal.read("show", job_id)
    assert (facts["worker"], facts["worker_pid"], facts["traceback"]) == ("w1", 7, None)
    assert facts["checkpoint_at"] is not None
    shown = terminal.run("show", job_id).stdout
    assert "w1, process 7" in shown


# -- tree ----------------------------------------------------------------------------------


def test_tree_draws_descendants_below_their_parents(terminal: Terminal) -> None:
    root, first, second = terminal.submit_family(label="Export all")
    terminal.records.claim(first)
    grandchild = terminal.records.make(under=first)
    lines = terminal.run("tree", root).stdout.splitlines()
    assert lines[0] == f"Export all  [In Progress, children 0/3]  {root}"
    assert lines[1] == f"  shop.add  [In Progress, children 0/1]  {first}"
    assert lines[2] == f"    shop.add  [Pending]  {grandchild}"
    assert lines[3] == f"  shop.add  [Pending]  {second}"
    nodes = terminal.read("tree", root)
    assert [(node["depth"], node["id"]) for node in nodes] == [
        (0, root), (1, first), (2, grandchild), (1, second),
    ]  # fmt: skip


def test_tree_of_a_child_begins_at_the_child(terminal: Terminal) -> None:
    _, child, _ = terminal.submit_family()
    [node] = terminal.read("tree", child)
    assert (node["depth"], node["id"]) == (0, child)


def test_tree_says_that_it_was_cut(terminal: Terminal) -> None:
    root, *_ = terminal.submit_family(children=3)
    lines = terminal.run("tree", root, "--limit", "2").stdout.splitlines()
    assert (len(lines), "--limit" in lines[2]) == (3, True)


def test_tree_follows_until_all_of_it_is_final(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, child = terminal.submit_family(children=1)
    slept: list[float] = []

    def work(seconds: float) -> None:
        """What happens while the command sleeps."""
        slept.append(seconds)
        if len(slept) == 1:
            terminal.records.finish(root)
        else:
            terminal.records.claim(child)
            terminal.records.finish(child)

    monkeypatch.setattr(reading, "time", SimpleNamespace(sleep=work))
    shown = terminal.run("tree", root, "--follow").stdout
    assert slept == [2.0, 2.0]
    at = [shown.index(word) for word in ("In Progress", "1 child left", "children 1/1")]
    assert at == sorted(at)


def test_tree_follows_also_what_its_limit_leaves_out(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, child = terminal.submit_family(children=1)
    terminal.records.finish(root)
    slept: list[float] = []

    def work(seconds: float) -> None:
        slept.append(seconds)
        terminal.records.claim(child)
        terminal.records.finish(child)

    monkeypatch.setattr(reading, "time", SimpleNamespace(sleep=work))
    terminal.run("tree", root, "--follow", "--limit", "1")
    assert slept == [2.0]


@pytest.mark.parametrize("limit", ["0", "-1", "5001", "many"])
def test_a_limit_that_makes_no_sense_is_a_usage_error(terminal: Terminal, limit: str) -> None:
    answer = terminal.run("tree", terminal.submit(), "--limit", limit)
    assert (answer.exit_code, "--limit" in answer.stderr) == (2, True)


@pytest.mark.parametrize("command", ["show", "tree"])
@pytest.mark.parametrize("job_id", ["nobody", "x" * 10_000, "\x1b[2J", "a\nb"])
def test_an_unknown_id_is_one_sentence(terminal: Terminal, command: str, job_id: str) -> None:
    for more in ((), ("--json",)):
        answer = terminal.run(command, job_id, *more)
        assert (answer.exit_code, answer.stdout) == (1, "")
        [sentence] = answer.stderr.splitlines()
        assert "there is no job with the id" in sentence
        assert "\x1b" not in sentence
