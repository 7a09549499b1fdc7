"""``python -m tests.audit``: are weaknesses known of the versions in constraints.txt?

Ends with 0 if none is, 1 if some are, and 3 if the service that knows did not answer for every
package: pip-audit alone passes over what it could not ask about.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

CONSTRAINTS = Path(__file__).parent.parent / "constraints.txt"
UNKNOWN = 3


def main() -> int:
    """Run pip-audit and judge what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", "-r", str(CONSTRAINTS)]
        + ["--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off"],
        capture_output=True,
        text=True,
    )
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, LookupError):
        last = (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
        return _say(f"not audited: {last}", UNKNOWN)
    return judge(packages)


def judge(packages: list[dict]) -> int:
    """Say what is known of packages, as pip-audit lists them; the exit status."""
    asked = [package for package in packages if "vulns" in package]
    known = [
        f"{package['name']} {package['version']}: {weakness['id']}"
        + (f", mended in {', '.join(weakness['fix_versions'])}" if weakness["fix_versions"] else "")
        for package in asked
        for weakness in package["vulns"]
    ]
    if known:
        return _say("\n".join(known), 1)
    if len(asked) < len(packages) or not packages:
        answered = f"answered for {len(asked)} of {len(packages)} packages"
        return _say(f"not audited: the service of advisories {answered}.", UNKNOWN)
    print(f"no weakness is known of {len(asked)} packages")
    return 0


def _say(text: str, status: int) -> int:
    print(text, file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
