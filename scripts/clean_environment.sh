# SPDX-License-Identifier: Apache-2.0
# Sourced by the scripts beside it: takes everything a sourced ROS, another venv or conda put into the environment out
# again, for this process only. .venv brings a ROS of its own, and half of each would be neither.

without_ros() {  # a PATH-like value without the folders of any ROS installation or workspace
  local kept='' entry prefix foreign
  local IFS=:
  for entry in $1; do
    foreign=''
    case "$entry" in '' | /opt/ros/*) foreign=yes ;; esac
    for prefix in ${AMENT_PREFIX_PATH:-} ${COLCON_PREFIX_PATH:-}; do
      case "$entry" in "$prefix" | "$prefix"/*) foreign=yes ;; esac
    done
    [ -n "$foreign" ] || kept="$kept${kept:+:}$entry"
  done
  printf '%s' "$kept"
}

clean_environment() {
  local sourced_ros=''
  case "${AMENT_PREFIX_PATH:-}:${ROS_DISTRO:-}" in :) ;; *) sourced_ros="${ROS_DISTRO:-at $AMENT_PREFIX_PATH}" ;; esac
  # The wheels' start-up code leaves LD_LIBRARY_PATH and this mark to its children; a child in another venv must not have them.
  if [ -n "${_ROS_WHEELS_BOOTSTRAP_COMPLETE:-}" ]; then unset LD_LIBRARY_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE; fi
  if [ -n "${LD_LIBRARY_PATH:-}" ]; then
    LD_LIBRARY_PATH=$(without_ros "$LD_LIBRARY_PATH")
    [ -n "$LD_LIBRARY_PATH" ] || unset LD_LIBRARY_PATH
  fi
  PATH=$(without_ros "$PATH")
  if [ -n "$sourced_ros" ] && [ -z "${SAFE_TRANSFER_QUIET:-}" ]; then
    echo "ROS $sourced_ros is sourced in this shell. ./.venv has a ROS 2 of its own and is used without yours, which stays"
    echo "as it is. To use yours instead: colcon build (see docs/installation.md)."
  fi
  unset AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH ROS_DISTRO ROS_VERSION ROS_PYTHON_VERSION
  unset RMW_IMPLEMENTATION PYTHONPATH PYTHONHOME PYTHONSTARTUP PIP_USER PIP_TARGET PIP_PREFIX
}
