# SPDX-License-Identifier: Apache-2.0
"""What a recording is known to have lost is told, is status 1, and stays told after a repair."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import foreign_files
import pytest
from foreign_files import (
    BEGAN,
    EFFORTS,
    SECOND,
    STATES,
    arm,
    split_bag,
    write_db3,
    write_mapping,
    write_mcap,
    write_metadata,
)
from mcap.writer import CompressionType

from safe_transfer_ros.bags.errors import BagError
from safe_transfer_ros.bags.read import Bag
from safe_transfer_ros.bags.repair import repair
from safe_transfer_ros.cli.main import main


def losses(path: Path) -> list[str]:
    bag = Bag(path)
    bag.summary()
    return bag.losses()


def chunks(content: bytes) -> list[tuple[int, int]]:
    """Start and length of the body of each chunk."""
    found, position = [], 8
    while position < len(content) - 8:
        opcode, length = struct.unpack_from("<BQ", content, position)
        if opcode == 6:
            found.append((position + 9, length))
        position += 9 + length
    return found


def flip(path: Path, chunk: int) -> None:
    content = bytearray(path.read_bytes())
    start, length = chunks(content)[chunk]
    content[start + length // 2] ^= 1
    path.write_bytes(content)


def test_a_whole_recording_has_none(tmp_path, capsys):
    split_bag(tmp_path / "bag")
    assert losses(tmp_path / "bag") == []
    assert main(["bag", "check", str(tmp_path / "bag")]) == 0
    assert "nothing is missing" in capsys.readouterr().out


def test_a_missing_file_of_a_split_recording_is_named_and_counted(tmp_path, capsys):
    split_bag(tmp_path / "bag")
    (tmp_path / "bag" / "part_1.mcap").unlink()
    found = losses(tmp_path / "bag")
    assert found[0].startswith("part_1.mcap: metadata.yaml names this file, and it is not there")
    assert "metadata.yaml tells of 798 messages, 532 can be read: 266 are lost" in found
    assert f"{STATES}: 133 of 399 messages are lost" in found and f"{EFFORTS}: 133 of 399 messages are lost" in found
    assert main(["bag", "check", str(tmp_path / "bag")]) == 1
    out = capsys.readouterr().out
    assert "part_1.mcap" in out and "nothing is missing" not in out


def test_a_repair_never_hides_what_was_lost(tmp_path, capsys):
    split_bag(tmp_path / "bag")
    (tmp_path / "bag" / "part_1.mcap").unlink()
    assert main(["bag", "repair", str(tmp_path / "bag"), str(tmp_path / "new")]) == 1
    assert "part_1.mcap" in capsys.readouterr().out
    assert main(["bag", "check", str(tmp_path / "new")]) == 1
    told = capsys.readouterr().out
    assert "lost before it was repaired: part_1.mcap" in told and "266 are lost" in told
    repair(tmp_path / "new", tmp_path / "newer")
    assert any("part_1.mcap" in text for text in losses(tmp_path / "newer")), "not even after another one"


def test_a_repair_of_a_whole_recording_is_status_0(tmp_path):
    split_bag(tmp_path / "bag")
    assert main(["bag", "repair", str(tmp_path / "bag"), str(tmp_path / "new")]) == 0
    assert losses(tmp_path / "new") == []


def test_transitions_of_a_recording_with_losses_are_status_1(tmp_path, capsys):
    split_bag(tmp_path / "bag")
    words = ["--mapping", str(write_mapping(tmp_path)), "--out"]
    assert main(["bag", "to-transitions", str(tmp_path / "bag"), *words, str(tmp_path / "whole")]) == 0
    (tmp_path / "bag" / "part_1.mcap").unlink()
    assert main(["bag", "to-transitions", str(tmp_path / "bag"), *words, str(tmp_path / "out")]) == 1
    assert "part_1.mcap" in capsys.readouterr().out


@pytest.mark.parametrize("compression", [CompressionType.NONE, CompressionType.ZSTD, CompressionType.LZ4])
def test_a_bit_in_the_first_chunk_costs_that_chunk_only(tmp_path, compression):
    """The definitions stood in it; the summary repeats them."""
    messages = list(arm())
    path = write_mcap(tmp_path / "bag" / "one.mcap", messages, compression=compression)
    flip(path, 0)
    bag = Bag(path)
    read = sum(topic.count for topic in bag.summary())
    assert len(messages) - 400 < read < len(messages)
    (damage,) = bag.damage
    assert damage.chunks_lost == 1 and damage.messages_lost == len(messages) - read and not damage.whole
    assert repair(path, tmp_path / "new").messages == read


def test_a_length_that_is_wrong_costs_one_chunk(tmp_path):
    """The summary says where the next one begins."""
    messages = list(arm())
    path = write_mcap(tmp_path / "one.mcap", messages)
    content = bytearray(path.read_bytes())
    start, length = chunks(content)[2]
    struct.pack_into("<Q", content, start - 8, length + 5_000)
    path.write_bytes(content)
    bag = Bag(path)
    read = sum(topic.count for topic in bag.summary())
    assert len(messages) - 400 < read < len(messages)
    assert bag.damage[0].messages_lost == len(messages) - read and bag.damage[0].closed


def test_nothing_is_made_of_a_recording_of_which_nothing_can_be_read(tmp_path, capsys):
    path = write_mcap(tmp_path / "one.mcap", list(arm())[:20])
    flip(path, 0)
    assert main(["bag", "repair", str(path), str(tmp_path / "new")]) == 2
    assert "nothing can be read of" in capsys.readouterr().err and not (tmp_path / "new").exists()
    with pytest.raises(BagError, match="no new bag is made: empty"):
        repair(write_mcap(tmp_path / "none.mcap", []), tmp_path / "new")


def test_counts_of_a_file_without_a_chunk_are_missed(tmp_path):
    """The summary still counts what was cut out between two chunks."""
    messages = list(arm())
    path = write_mcap(tmp_path / "one.mcap", messages)
    content = path.read_bytes()
    start, _ = chunks(content)[1]
    path.write_bytes(content[: start - 9] + bytes([0x80]) + content[start - 8 :])  # now of a kind nobody knows
    bag = Bag(path)
    read = sum(topic.count for topic in bag.summary())
    assert read < len(messages) and bag.damage[0].messages_lost == len(messages) - read


def test_metadata_older_than_the_recording_is_no_loss_and_a_stranger_among_the_files_is(tmp_path):
    split_bag(tmp_path / "bag")
    write_metadata(tmp_path / "bag", ["part_0.mcap", "part_1.mcap", "part_2.mcap"], 0)
    assert losses(tmp_path / "bag") == [], "a recorder writes it when it begins"
    split_bag(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "part_0.mcap", tmp_path / "other" / "copy.mcap")
    assert any("is there a file of another recording?" in text for text in losses(tmp_path / "other"))
    content = (tmp_path / "other" / "copy.mcap").read_bytes()
    (tmp_path / "other" / "copy.mcap").write_bytes(content[: len(content) // 2])
    assert not any("another recording" in text for text in losses(tmp_path / "other")), "cut off: metadata is older"


def test_a_file_that_is_named_twice_is_read_once(tmp_path):
    messages = split_bag(tmp_path / "bag")
    write_metadata(tmp_path / "bag", ["part_0.mcap", "part_0.mcap", "part_1.mcap", "part_2.mcap"], len(messages))
    assert len(list(Bag(tmp_path / "bag").recorded())) == len(messages)


@pytest.mark.parametrize("text", ["rosbag2_bagfile_information: {version: 9, rel", "[]", "\xff"], ids=range(3))
def test_metadata_that_cannot_be_read_is_told_and_the_files_are_read(tmp_path, text):
    messages = split_bag(tmp_path / "bag")
    (tmp_path / "bag" / "metadata.yaml").write_bytes(text.encode("latin-1"))
    assert len(list(Bag(tmp_path / "bag").recorded())) == len(messages)
    (told,) = losses(tmp_path / "bag")
    assert told.startswith("metadata.yaml ") and "\n" not in told


def test_a_sqlite_recording_with_a_journal_beside_it_was_not_closed(tmp_path):
    path = write_db3(tmp_path / "one.db3", arm(0.1))
    assert losses(path) == []
    (tmp_path / "one.db3-wal").write_bytes(b"messages that were not moved over")
    assert any("not closed" in text for text in losses(path))


# The clock of the recording -----------------------------------------------------------------------------------------


def set_clock(jumps: dict[int, int]) -> list[foreign_files.Message]:
    """The arm's messages, those from number n on by so many ns later."""
    result = []
    offset = 0
    for number, (topic, kind, time_ns, data) in enumerate(arm(20.0)):
        offset = jumps.get(number, offset)
        result.append((topic, kind, time_ns + offset, data))
    return result


@pytest.mark.parametrize(
    ("jumps", "way", "count"),
    [
        ({0: -BEGAN, 6: 0}, "forward 1 times", 1),  # before /clock came
        ({0: 30 * SECOND - BEGAN, 1000: 0}, "forward 1 times, by up to 53.9 years", 1),  # no clock of its own, then NTP
        ({1000: -3600 * SECOND}, "back 1 times", 1),
        ({1000: -5 * SECOND}, "back 1 times, by up to 5 s", 1),  # what comes then lies over what came before
        ({1000: 400 * 86400 * SECOND, 2000: 0}, "back 1 times and forward 1 times", 2),
    ],
    ids=["stamped 0", "set by decades", "back an hour", "back five seconds", "there and back"],
)
def test_a_jump_of_the_clock_ends_a_stretch_and_is_told(tmp_path, capsys, jumps, way, count):
    write_mcap(tmp_path / "bag" / "one.mcap", set_clock(jumps))
    assert main(["bag", "check", str(tmp_path / "bag")]) == 1
    assert f"the clock of the recording was set {way}" in capsys.readouterr().out
    words = ["--mapping", str(write_mapping(tmp_path)), "--out", str(tmp_path / "out")]
    assert main(["bag", "to-transitions", str(tmp_path / "bag"), *words]) == 0
    told = capsys.readouterr().out
    assert f"{count} clock jumps" in told and f"of {count + 1} episodes" in told
    # 400 decisions in 20 s; at a border at most two are lost.
    assert int(told.split(" transitions")[0].split()[-1]) >= 400 - 2 - 3 * count


def test_a_clock_that_is_set_between_two_files_counts_as_well(tmp_path):
    write_mcap(tmp_path / "bag" / "one_0.mcap", arm(1.0))
    write_mcap(tmp_path / "bag" / "one_1.mcap", arm(1.0, began=BEGAN - 7200 * SECOND))
    bag = Bag(tmp_path / "bag")
    batches = list(bag.batches([STATES, EFFORTS]))
    assert bag.clock.back == 1 and [batch.clock for batch in batches] == [0, 0, 1, 1]
    assert sum(len(batch.messages) for batch in batches) == 400


def test_messages_a_little_out_of_turn_are_no_jump(tmp_path):
    messages = list(arm(3.0))
    messages[100], messages[150] = messages[150], messages[100]
    bag = Bag(write_mcap(tmp_path / "one.mcap", messages))
    bag.summary()
    assert bag.clock.jumps == 0 and bag.clock.describe() == ""
    list(bag.batches([STATES]))
    assert bag.clock.jumps == 0


def test_receipt_times_that_no_clock_shows_are_left_out_and_counted(tmp_path):
    messages = list(arm(1.0))
    messages[10] = (*messages[10][:2], 2**64 - 1, messages[10][3])
    bag = Bag(write_mcap(tmp_path / "one.mcap", messages))
    assert sum(topic.count for topic in bag.summary()) == len(messages) - 1
    assert bag.damage[0].messages_lost == 1


# What a conversion that fails leaves behind -------------------------------------------------------------------------


def test_a_conversion_that_fails_leaves_no_folder_in_the_way(tmp_path):
    write_mcap(tmp_path / "bag" / "one.mcap", arm(1.0))
    bad = ["--mapping", str(write_mapping(tmp_path, joints=["shoulder", "wrist"])), "--out", str(tmp_path / "out")]
    assert main(["bag", "to-transitions", str(tmp_path / "bag"), *bad]) == 2
    assert not (tmp_path / "out").exists()
    good = ["--mapping", str(write_mapping(tmp_path)), "--out", str(tmp_path / "out")]
    assert main(["bag", "to-transitions", str(tmp_path / "bag"), *good]) == 0


def test_a_folder_that_was_there_stays_and_loses_nothing(tmp_path):
    write_mcap(tmp_path / "bag" / "one.mcap", arm(1.0))
    (tmp_path / "out").mkdir()
    bad = ["--mapping", str(write_mapping(tmp_path, joints=["shoulder", "wrist"])), "--out", str(tmp_path / "out")]
    assert main(["bag", "to-transitions", str(tmp_path / "bag"), *bad]) == 2
    assert list((tmp_path / "out").iterdir()) == []
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    assert main(["bag", "to-transitions", str(tmp_path / "bag"), *bad]) == 2
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == ["thesis.txt"]
