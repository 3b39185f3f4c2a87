# SPDX-License-Identifier: Apache-2.0
"""The ant that runs along an avenue, not too fast and between two lines (DARL)."""
