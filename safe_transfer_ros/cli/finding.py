# SPDX-License-Identifier: Apache-2.0
"""One line of `safe_transfer doctor`."""

from __future__ import annotations

from dataclasses import dataclass

from safe_transfer_ros.untrusted import printable

GOOD, WEAK, BAD = "ok", "warn", "FAIL"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the examination."""

    verdict: str
    what: str
    fix: str = ""

    def __str__(self) -> str:
        return printable(f"{self.verdict:5}{self.what}" + (f": {self.fix}" if self.fix else ""))
