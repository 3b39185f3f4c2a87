# SPDX-License-Identifier: Apache-2.0
"""Probabilistically safe policy transfer (PSPT): pre-training and Algorithm 1."""
