# SPDX-License-Identifier: Apache-2.0
"""Transfer methods, and the learners of the graph by name: PSPT, and learning under a constraint on failures."""
