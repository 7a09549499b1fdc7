import subprocess

import pytest

from tests import audit

FINE = {"name": "one", "version": "1", "vulns": []}
SKIPPED = {"name": "two", "skip_reason": "Dependency not found"}
WEAK = {"name": "three", "version": "3", "vulns": [{"id": "CVE-1", "fix_versions": ["4"]}]}


@pytest.mark.parametrize(
    ("packages", "status", "words"),
    [
        ([FINE], 0, ""),
        ([], 3, "answered for 0 of 0"),
        ([FINE, SKIPPED], 3, "not audited: the service of advisories answered for 1 of 2 packages"),
        ([FINE, SKIPPED, WEAK], 1, "three 3: CVE-1, mended in 4\n"),
    ],
)
def test_what_was_not_asked_about_is_not_passed(packages, status, words, capsys):
    assert audit.judge(packages) == status
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == (status != 0)


def test_a_service_that_cannot_be_reached_is_one_line(monkeypatch, capsys):
    failed = subprocess.CompletedProcess([], 1, "", "Traceback ...\nConnectionError: no route\n")
    monkeypatch.setattr(audit.subprocess, "run", lambda *_, **__: failed)
    assert audit.main() == audit.UNKNOWN
    assert capsys.readouterr().err == "not audited: ConnectionError: no route\n"
