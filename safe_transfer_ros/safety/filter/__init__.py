# SPDX-License-Identifier: Apache-2.0
"""The rules between a proposal and a motor."""
