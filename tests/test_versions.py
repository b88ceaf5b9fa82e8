"""tests/tools/versions.py: what other versions answer differently is said test by test."""

from pathlib import Path

from .tools.versions import Run, report

JUNIT = """<testsuites><testsuite time="7.5">
<testcase classname="tests.test_nn" name="test_pads[1]"><failure message="no"/></testcase>
<testcase classname="tests.test_nn" name="test_pads[2]"><error message="no"/></testcase>
<testcase classname="tests.test_nn" name="test_pools"/>
<testcase classname="tests.test_nn" name="test_a_card"><skipped message="no card"/></testcase>
</testsuite></testsuites>"""


def test_a_report_names_every_test_that_fails_under_a_version(tmp_path: Path) -> None:
    home = tmp_path / "torch-2.9.0-python-3.12.1"
    home.mkdir()
    for file in ("junit.xml", "again.xml"):
        (home / file).write_text(JUNIT)
    lines = [*report([Run.read(home)], "pythons")]
    assert "| 2.9.0 | 3.12.1 | 4 | 1 | 2 | 8 |" in lines
    assert "- `tests/test_nn::test_pads`, 2 of them" in lines
