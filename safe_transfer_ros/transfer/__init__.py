# SPDX-License-Identifier: Apache-2.0
"""Transfer methods as orchestration, and the record they leave: episodes, iterations, policy files."""
