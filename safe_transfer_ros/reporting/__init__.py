# SPDX-License-Identifier: Apache-2.0
"""A run as a page: key numbers, plots, and the settings that made them."""
