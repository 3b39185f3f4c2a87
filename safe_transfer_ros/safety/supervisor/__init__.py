# SPDX-License-Identifier: Apache-2.0
"""What a second pair of eyes checks of the filter and of the arm's controller."""
