# SPDX-License-Identifier: Apache-2.0
# `make help` says what there is. The work of setting up is in scripts/setup.sh.
.DEFAULT_GOAL := help
SHELL := bash
.PHONY: help run setup test test-kilted docs lint format clean

IN_VENV := scripts/in_venv.sh
# Containers often keep Python from writing bytecode; then each of the tests' hundreds of processes would compile all of
# the package again.
WITH_BYTECODE := PYTHONDONTWRITEBYTECODE=
# PSPT's own simulated arm and D_safe, from a limit at which a newcomer sees it climb, fall back and climb again within
# five minutes. The rule is PSPT's own, as the picture in README.md shows it: the configuration file's stops the climb
# where returns fall (benefit). That file is stricter in D_safe, too (.2): it is also what a real arm begins with.
STORY := perturbation:=literal d_safe:=0.5 initial_torque_limit:=0.3 unsafety_monitor.benefit:=false

help:  ## this list
	@echo 'safe_transfer_ros'
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | awk -F'\t' '{ printf "  make %-11s %s\n", $$1, $$2 }'
	@echo
	@echo 'The first run sets up ./.venv (2 GB, a few minutes); nothing is installed outside this folder.'
	@echo 'With ROS 2 Jazzy installed: colcon build, then ros2 launch safe_transfer_ros pr2_cup_swirl.launch.py'

run:  ## fine-tune the shipped policy on a changed PR2, safely, and write a report; options: make run ARGS="seed:=1 iterations:=10"
	@scripts/setup.sh run
	@$(IN_VENV) safe_transfer run pr2_cup_swirl $(STORY) $(ARGS)

setup:  ## only set up ./.venv (what run and test do first)
	@scripts/setup.sh run

test:  ## style, types and all tests; options: make test ARGS="test/safety -x"
	@scripts/setup.sh test
	@$(MAKE) --no-print-directory lint
	@echo '· tests'
	@$(WITH_BYTECODE) $(IN_VENV) python -m pytest -q -n 2 $(ARGS)

test-kilted:  ## the tests on ROS 2 Kilted (not supported yet: docs/installation.md), in ./.venv-kilted
	@scripts/setup.sh kilted
	@$(WITH_BYTECODE) SAFE_TRANSFER_VENV=.venv-kilted $(IN_VENV) python -m pytest -q -n 2 --ignore=test/test_colcon_build.py $(ARGS)

docs:  ## the manual as a site: docs/_build/index.html
	@scripts/setup.sh docs
	@$(IN_VENV) python -m sphinx -b html -W --keep-going -q docs docs/_build
	@echo 'manual: docs/_build/index.html'

lint:  ## style and types only
	@scripts/setup.sh dev
	@echo '· style (ruff)'
	@$(IN_VENV) ruff check --quiet .
	@$(IN_VENV) ruff format --check --quiet . || { echo 'Some files are not formatted: make format'; exit 1; }
	@echo '· types (mypy)'
	@$(IN_VENV) mypy --no-error-summary

format:  ## format the code and fix what ruff can fix
	@scripts/setup.sh dev
	@$(IN_VENV) ruff check --quiet --fix . ; $(IN_VENV) ruff format --quiet .

clean:  ## remove the environments, builds and caches; runs/ stays
	rm -rf .venv .venv-colcon .venv-kilted .venv-franka .colcon docs/_build build install log dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
