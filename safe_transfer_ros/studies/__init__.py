# SPDX-License-Identifier: Apache-2.0
"""The papers' studies: each run a function of its settings, kept under the hash of them."""
