# SPDX-License-Identifier: Apache-2.0
"""Learning under a constraint on failures: CSC and its baselines."""
