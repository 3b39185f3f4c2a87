#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sets up what `make` needs, in this folder and nowhere else. Run again at any time: only what changed or was interrupted
# is done again.
#
#   scripts/setup.sh run     ./.venv to run in: torch, the ROS 2 wheels, the messages, this package
#   scripts/setup.sh dev     the same and the tools of `make lint`
#   scripts/setup.sh test    the same, ros2_control's interfaces for the tests, ./.venv-colcon, for `colcon build`, and
#                            ./.venv-franka, a simulated FR3 that speaks the arm's protocol, where it can be had
#   scripts/setup.sh docs    run, and Sphinx for `make docs`; test has it too
#   scripts/setup.sh colcon  only ./.venv-colcon
#   scripts/setup.sh kilted  only ./.venv-kilted: the same as dev with the wheels of ROS 2 Kilted
#
# PYTHON=/path/to/python3.12 scripts/setup.sh run   chooses the Python.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
# shellcheck source=scripts/clean_environment.sh
. scripts/clean_environment.sh

stop() {  # one clear line, or a few
  printf 'Cannot set up: %s\n' "$@" >&2
  exit 1
}

check_machine() {
  [ "$(uname -s)" = Linux ] || stop "ROS 2 comes as wheels for Linux only; this is $(uname -s). Use a Linux machine or container."
  case "$(uname -m)" in
    x86_64 | amd64) ;;
    *) stop "the ROS 2 wheels are for x86-64 only; this is $(uname -m). Install ROS 2 Jazzy by apt and use colcon build (docs/installation.md)." ;;
  esac
}

find_python() {  # the first Python that runs (a pyenv shim may not), is CPython 3.10 to 3.14
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3 python3.12 python3.11 python3.13 python3.10 python3.14; do
    if "$candidate" -c 'import sys
sys.exit(not (sys.implementation.name == "cpython" and (3, 10) <= sys.version_info[:2] <= (3, 14)))' 2>/dev/null; then
      "$candidate" -c 'import sys; print(sys.executable)'
      return
    fi
    [ "$candidate" != "${PYTHON:-}" ] || break
  done
  if [ -n "${PYTHON:-}" ]; then stop "PYTHON=$PYTHON is not a CPython 3.10 to 3.14."; fi
  stop "no Python 3.10 to 3.14 found (python3 is $(python3 --version 2>&1 | tail -1)). On Ubuntu or Debian: sudo apt install python3 python3-venv python3-dev; or PYTHON=/path/to/python make ..."
}

check_tools() {
  local version
  version=$("$PY" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  "$PY" -c 'import venv, ensurepip' 2>/dev/null || stop "Python $version at $PY has no venv module. On Ubuntu or Debian: sudo apt install python$version-venv"
  "$PY" -c 'import os, sysconfig, sys; sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' ||
    stop "the headers of Python $version are missing; the messages are compiled against them. On Ubuntu or Debian: sudo apt install python$version-dev"
  command -v "${CXX:-c++}" >/dev/null && command -v "${CC:-cc}" >/dev/null ||
    stop "no C++ compiler; the messages are compiled. On Ubuntu or Debian: sudo apt install g++"
  local free
  free=$(df -Pk . | awk 'NR == 2 { print $4 }')
  [ "$free" -ge 3000000 ] || [ -e .venv/.stamps/torch ] || stop "only $((free / 1000)) MB free here, 3000 MB are needed."
}

# A step is done again when what it depends on changed. Contents, not times, decide: git sets times anew.
digest() { cat "$@" 2>/dev/null | sha256sum | cut -d' ' -f1; }
digest_folder() { find "$1" -type f ! -path '*/.*' ! -path '*/__pycache__/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1; }

# COMMAND may be a function below; its parts are chained by &&, because bash ignores `set -e` inside a condition.
step() {  # step VENV NAME DIGEST "what it does, in words" COMMAND...
  local venv=$1 name=$2 digest=$3 words=$4 started=$SECONDS
  shift 4
  local stamp=$venv/.stamps/$name
  if [ "$(cat "$stamp" 2>/dev/null)" = "$digest" ]; then return; fi
  echo "· $words"
  rm -f "$stamp"
  if ! "$@" >.setup.log 2>&1; then
    explain .setup.log
    exit 1
  fi
  if [ $((SECONDS - started)) -ge 5 ]; then echo "  done in $((SECONDS - started)) s"; fi
  mkdir -p "$venv/.stamps"
  echo "$digest" >"$stamp.new"  # then renamed: an interrupted write leaves no half stamp
  mv "$stamp.new" "$stamp"
}

explain() {  # why a step failed, as far as its log tells
  {
    tail -n 12 "$1" | sed 's/^/    /'
    if grep -qiE 'no space left|disk quota' "$1"; then
      echo "The disk is full: free some space and run make again; it goes on where it stopped."
    elif grep -qiE 'name resolution|could not resolve|network is unreachable|connection (refused|timed out|reset|broken)|NewConnectionError|ReadTimeout|ProxyError' "$1"; then
      echo "The package registry (PyPI, or the one in pip's configuration) was not reached: check the network or the proxy,"
      echo "and run make again; it goes on where it stopped."
    elif grep -qE 'No matching distribution|Could not find a version' "$1"; then
      echo "The package registry does not have a version that is needed for this Python; its name is above. Try another with PYTHON=..."
    fi
    echo "All of it is in $1"
  } >&2
}

pip_in() {  # pip of a venv, quiet, never asking
  local venv=$1
  shift
  "$venv/bin/python" -m pip --disable-pip-version-check --no-input "$@"
}

make_venv() {  # from scratch: what an interrupted attempt left cannot be told from what is whole
  rm -rf "$1" &&
    "$PY" -m venv "$1" &&
    pip_in "$1" install -r requirements/pip.txt
}

install_torch() {
  # Under the same version a registry may hold the CUDA build only, gigabytes more: TORCH_INDEX=URL make ... names one
  # with the CPU build.
  pip_in .venv install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -r requirements/torch.txt
}

install_messages() {
  # Away from the sources, so that nothing is written beside them.
  rm -rf .venv/.wheels &&
    pip_in .venv wheel --no-deps --wheel-dir .venv/.wheels "$ROOT/safe_transfer_msgs" &&
    pip_in .venv install --force-reinstall --no-deps .venv/.wheels/safe_transfer_msgs-*.whl &&
    rm -rf .venv/.wheels &&
    .venv/bin/python -c 'import rclpy, safe_transfer_msgs.msg as m; m.SafetyDecision()'
}

has_real() {  # has_real MODULE WHEEL: whether a MODULE can be imported that is not ours, by WHEEL
  .venv/bin/python -c "import importlib.metadata as m, $1
try: m.version('$2')
except m.PackageNotFoundError: pass
else: raise SystemExit(1)"
}

install_tf2_msgs() {  # TFMessage, which the wheels lack; never where a real one can be imported
  if has_real tf2_msgs safe-transfer-tf2-msgs; then return; fi
  rm -rf .venv/.wheels &&
    pip_in .venv wheel --no-deps --wheel-dir .venv/.wheels "$ROOT/interfaces/tf2_msgs" &&
    pip_in .venv install --force-reinstall --no-deps .venv/.wheels/safe_transfer_tf2_msgs-*.whl &&
    rm -rf .venv/.wheels &&
    .venv/bin/python -c 'import rclpy, tf2_msgs.msg as m; m.TFMessage()'
}

install_test_interfaces() {
  # The part of controller_manager_msgs that the tests use; never where a real one can be imported.
  if has_real controller_manager_msgs safe-transfer-test-interfaces; then return; fi
  # Built with what .venv-colcon has anyway, and unoptimised: that saves a minute.
  rm -rf .venv/.wheels &&
    PATH=$ROOT/.venv-colcon/bin:$PATH pip_in .venv-colcon wheel --no-deps --no-build-isolation \
      --config-settings=cmake.build-type=Debug \
      --wheel-dir .venv/.wheels "$ROOT/test/interfaces/controller_manager_msgs" &&
    pip_in .venv install --force-reinstall --no-deps .venv/.wheels/safe_transfer_test_interfaces-*.whl &&
    rm -rf .venv/.wheels &&
    .venv/bin/python -c 'import rclpy, controller_manager_msgs.srv as s; s.SwitchController.Request()'
}

install_kilted_interfaces() {  # install_kilted_interfaces FOLDER...: from a copy of them all that asks for Kilted's wheels
  # Kilted has no wheels of two cmake modules that its packages no longer need, and needs one more.
  local folder copy=.venv-kilted/.interfaces
  rm -rf "$copy" .venv-kilted/.wheels && mkdir -p "$copy" && cp -r --parents "$@" "$copy" || return
  for folder in "$@"; do
    sed -i -E -e 's/ros-jazzy-([a-z-]+)==[0-9.]+/ros-kilted-\1/' -e '/ros-kilted-(fastrtps|python)-cmake-module/d' \
      -e 's/"ros-kilted-ament-cmake-ros"/&, "ros-kilted-ament-cmake-ros-core"/' "$copy/$folder/pyproject.toml" &&
      pip_in .venv-kilted wheel --no-deps --wheel-dir .venv-kilted/.wheels "$ROOT/$copy/$folder" || return
  done
  pip_in .venv-kilted install --force-reinstall --no-deps .venv-kilted/.wheels/*.whl &&
    rm -rf "$copy" .venv-kilted/.wheels &&
    .venv-kilted/bin/python -c 'import rclpy, safe_transfer_msgs.msg as m; m.SafetyDecision()'
}

venv_digest() {  # a venv does not outlive its Python, nor a move of its folder
  { "$PY" -c 'import sys; print(sys.version, sys.base_prefix)' && echo "$ROOT/$1" && cat requirements/pip.txt; } | sha256sum | cut -d' ' -f1
}

set_up_run() {
  step .venv venv "$(venv_digest .venv)" "making ./.venv with $("$PY" --version)" make_venv .venv
  step .venv torch "$(digest requirements/torch.txt)" "installing torch (the largest part)" install_torch
  step .venv run "$(digest requirements/torch.txt requirements/ros.txt requirements/run.txt)" \
    "installing ROS 2 Jazzy, MuJoCo and the other libraries" \
    pip_in .venv install -r requirements/torch.txt -r requirements/ros.txt -r requirements/run.txt
  step .venv messages "$(digest_folder safe_transfer_msgs)-$(digest requirements/ros.txt)" \
    "compiling the messages (about a minute)" install_messages
  step .venv tf2-msgs "$(digest_folder interfaces/tf2_msgs)-$(digest requirements/ros.txt)" \
    "compiling tf2_msgs, which the registry lacks (half a minute)" install_tf2_msgs
  step .venv package "$(digest setup.py setup.cfg pyproject.toml)" "installing this checkout" \
    pip_in .venv install --no-deps --no-build-isolation --editable .
}

set_up_dev() {
  step .venv dev "$(digest requirements/dev.txt)-$(digest requirements/torch.txt requirements/ros.txt requirements/run.txt)" "installing the test tools" \
    pip_in .venv install -r requirements/dev.txt
}

set_up_docs() {
  step .venv docs "$(digest requirements/docs.txt)-$(digest requirements/run.txt)" "installing Sphinx, for the manual" \
    pip_in .venv install -r requirements/docs.txt -r requirements/run.txt
}

set_up_test() {
  step .venv test-interfaces "$(digest_folder test/interfaces/controller_manager_msgs)-$(digest requirements/ros.txt)" \
    "compiling the interfaces of ros2_control that the tests use" install_test_interfaces
}

# What only the tests of robot:=franka need, so that its absence skips these and stops nothing. A python of 3.9 to 3.12
# has Franka's wheel; the simulation wants older numpy and MuJoCo than ours, so it has an environment of its own.
FRANKA_SKIPPED="The tests of robot:=franka are skipped"

install_franka_simulation() {
  rm -rf .venv-franka &&
    "$PY" -m venv .venv-franka &&
    pip_in .venv-franka install -r requirements/franka_sim.txt
}

install_franka_library() {
  pip_in .venv install --no-deps -r requirements/franka.txt &&
    .venv/bin/python -c 'import pylibfranka'
}

steps_of_franka() {
  step .venv franka "$(digest requirements/franka.txt)" "installing Franka's client library" install_franka_library
  step .venv-franka franka "$(digest requirements/franka_sim.txt)-$(venv_digest .venv-franka)" \
    "installing a simulated Franka arm, for the tests (half a minute)" install_franka_simulation
}

set_up_franka() {
  if ! "$PY" -c 'import sys; sys.exit(sys.version_info[:2] > (3, 12))'; then
    echo "· $FRANKA_SKIPPED: Franka's wheel is for Python 3.9 to 3.12, and this is $("$PY" --version)."
  elif ! (steps_of_franka); then
    echo "· $FRANKA_SKIPPED: the package registry did not give what they need (above)."
    rm -rf .venv-franka
  fi
}

set_up_colcon() {
  step .venv-colcon venv "$(venv_digest .venv-colcon)" "making ./.venv-colcon, for testing colcon build" make_venv .venv-colcon
  step .venv-colcon colcon "$(digest requirements/colcon.txt)" "installing colcon and the ROS 2 build tools" \
    pip_in .venv-colcon install -r requirements/colcon.txt
}

set_up_kilted() {
  local python
  python=$(digest requirements/torch.txt requirements/kilted.txt requirements/run.txt requirements/dev.txt)
  step .venv-kilted venv "$(venv_digest .venv-kilted)" "making ./.venv-kilted with $("$PY" --version)" make_venv .venv-kilted
  step .venv-kilted run "$python" "installing ROS 2 Kilted, torch, MuJoCo and the other libraries" \
    pip_in .venv-kilted install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
    -r requirements/torch.txt -r requirements/kilted.txt -r requirements/run.txt -r requirements/dev.txt
  local interfaces=(safe_transfer_msgs interfaces/tf2_msgs test/interfaces/controller_manager_msgs) folder digests=
  for folder in "${interfaces[@]}"; do digests+=$(digest_folder "$folder")-; done
  step .venv-kilted messages "$digests$python" "compiling the messages (about three minutes)" \
    install_kilted_interfaces "${interfaces[@]}"
  step .venv-kilted package "$(digest setup.py setup.cfg pyproject.toml)" "installing this checkout" \
    pip_in .venv-kilted install --no-deps --no-build-isolation --editable .
}

main() {
  local what=${1:-run}
  case "$what" in run | dev | test | colcon | kilted | docs) ;; *) stop "'$what' is not one of run, dev, test, colcon, kilted, docs." ;; esac
  trap 'echo "Interrupted. The next make goes on where this one stopped." >&2; exit 130' INT TERM
  clean_environment
  check_machine
  PY=$(find_python)
  check_tools
  # Two makes at once would install over each other.
  exec 9>.setup.lock
  if command -v flock >/dev/null && ! flock -n 9; then
    echo "Another make is setting up here: waiting for it."
    flock 9
  fi
  case "$what" in run | dev | test | docs) set_up_run ;; kilted) set_up_kilted ;; esac
  case "$what" in dev | test) set_up_dev ;; esac
  case "$what" in docs | test) set_up_docs ;; esac
  case "$what" in test | colcon) set_up_colcon ;; esac
  if [ "$what" = test ]; then set_up_test; fi
  if [ "$what" = test ]; then set_up_franka; fi
}

# The tests source this file for its functions.
[ -n "${SAFE_TRANSFER_LIBRARY:-}" ] || main "$@"
