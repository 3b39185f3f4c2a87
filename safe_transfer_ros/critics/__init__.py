# SPDX-License-Identifier: Apache-2.0
"""Everything about a safety critic that is not a rule: its file, data, training, calibration, shadow, gate."""
