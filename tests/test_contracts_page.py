"""docs/contracts.md: pull requests that break a contract fail as the page says."""

from .tools.pull_request import PAGE, written


def test_pytest_says_of_the_pull_requests_what_the_page_says() -> None:
    page = PAGE.read_text()
    assert written(page) == page
    assert page.count("breaks its contract") >= 3
