# SPDX-License-Identifier: Apache-2.0
"""The cup swirl of the PR2 (PSPT)."""
