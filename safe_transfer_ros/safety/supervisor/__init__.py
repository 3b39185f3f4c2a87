# SPDX-License-Identifier: Apache-2.0
"""Independent checks of the filter and of the arm's controller."""
