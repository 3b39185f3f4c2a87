# SPDX-License-Identifier: Apache-2.0
"""Learning under a constraint on failures: CSC and what it is compared with."""
