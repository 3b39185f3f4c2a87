# SPDX-License-Identifier: Apache-2.0
"""Zip archives of others, read within bounds: members by name, in memory, nothing extracted to the disk."""

from __future__ import annotations

import io
import zipfile
import zlib

from safe_transfer_ros.bounds import ARCHIVE_BYTES, ARCHIVE_MEMBERS
from safe_transfer_ros.policies.tensors import WeightsError
from safe_transfer_ros.untrusted import printable

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Archive:
    """Members of a zip archive, by name."""

    def __init__(self, data: bytes, what: str) -> None:
        """Read the table of members.

        Args:
          data: The archive.
          what: What it is, for the message.

        Raises:
          WeightsError: if it is no archive, has too many members, or has two of one name.
        """
        if len(data) > ARCHIVE_BYTES:
            raise WeightsError(f"expected {what} of at most {ARCHIVE_BYTES} bytes, got {len(data)}")
        # How many there are stands at the end, or is there to be counted: neither is believed before it is bounded.
        if data.count(b"PK\x01\x02") > ARCHIVE_MEMBERS:
            raise WeightsError(f"expected {what} of at most {ARCHIVE_MEMBERS} members, got more")
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, ValueError, OSError, RuntimeError) as error:
            raise WeightsError(
                f"expected {what} as a zip archive, got {len(data)} bytes that are none: {error}"
            ) from None
        self._what, members = what, self._zip.infolist()
        self._members = {member.filename: member for member in members}
        if len(self._members) != len(members):
            raise WeightsError(f"expected each member of {what} once, got two of one name: the archive is damaged")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its members."""
        return tuple(self._members)

    def read(self, name: str, *, most_bytes: int) -> bytes:
        """Content of a member.

        Raises:
          WeightsError: if there is none of that name, it is longer, encrypted, compressed in an unusual way or damaged.
        """
        member, shown = self._members.get(name), printable(name)[:80]
        if member is None:
            raise WeightsError(f"expected '{shown}' in {self._what}, got {self._told()}")
        if member.flag_bits & 1 or member.compress_type not in _METHODS:
            raise WeightsError(
                f"'{shown}' in {self._what} is encrypted or compressed otherwise than by deflate: not read"
            )
        try:
            with self._zip.open(member) as file:
                content = file.read(most_bytes + 1)  # what it says of its own length is not believed
        except (zipfile.BadZipFile, zlib.error, ValueError, OSError, RuntimeError, EOFError) as error:
            raise WeightsError(f"'{shown}' in {self._what} is damaged: {error}") from None
        if len(content) > most_bytes:
            raise WeightsError(f"'{shown}' in {self._what} is longer than the {most_bytes} bytes that are read")
        return content

    def _told(self) -> str:
        names = ", ".join(f"'{printable(name)[:60]}'" for name in self.names[:6])
        return f"{names}{' and others' if len(self._members) > 6 else ''}" if names else "no member"
