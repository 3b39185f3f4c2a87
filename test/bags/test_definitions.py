# SPDX-License-Identifier: Apache-2.0
"""Message definitions: the text and hash a bag carries."""

import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from safe_transfer_ros.bags.definitions import MessageDefinitions
from safe_transfer_ros.bags.errors import BagError


def test_text_holds_every_type_used_once_behind_the_root():
    definition = MessageDefinitions().find("diagnostic_msgs/msg/DiagnosticArray")
    headings = [line for line in definition.text.splitlines() if line.startswith("MSG: ")]
    assert sorted(headings) == [
        "MSG: builtin_interfaces/Time",
        "MSG: diagnostic_msgs/DiagnosticStatus",
        "MSG: diagnostic_msgs/KeyValue",
        "MSG: std_msgs/Header",
    ]
    assert definition.text.index("DiagnosticStatus[] status") < definition.text.index("MSG: ")


@pytest.mark.parametrize(
    "name", ["sensor_msgs/msg/JointState", "std_msgs/msg/Float64MultiArray", "rosgraph_msgs/msg/Clock"]
)
def test_another_librarys_parser_finds_the_same_fields_and_hash(name):
    definition = MessageDefinitions().find(name)
    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_msg(definition.text, name))
    assert store.fielddefs[name] == get_typestore(Stores.ROS2_JAZZY).fielddefs[name]
    assert store.hash_rihs01(name) == definition.type_hash


def test_bounds_arrays_comments_and_constants_are_no_dependencies(tmp_path):
    folder = tmp_path / "a_msgs" / "msg"
    folder.mkdir(parents=True)
    (folder / "Root.msg").write_text(
        "# Other comment\nuint8 KIND=1  # Wrong other\nstring<=5 text\n"
        "Leaf[<=3] leaves\nfloat64[7] x\na_msgs/Leaf one\n"
    )
    (folder / "Leaf.msg").write_text("bool flag\n")
    text = MessageDefinitions([tmp_path]).find("a_msgs/Root").text
    assert text.count("MSG: ") == 1 and "MSG: a_msgs/Leaf\nbool flag" in text


def test_missing_definition_says_what_to_install():
    with pytest.raises(BagError, match="install the message package nowhere_msgs"):
        MessageDefinitions().find("nowhere_msgs/msg/Thing")


def test_malformed_type_name_is_refused():
    with pytest.raises(BagError, match="not of the form"):
        MessageDefinitions().find("JointState")
