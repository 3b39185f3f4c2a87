# SPDX-License-Identifier: Apache-2.0
"""Correction of a policy that works into one that is safe, by a safe agent beside it (DARL)."""
