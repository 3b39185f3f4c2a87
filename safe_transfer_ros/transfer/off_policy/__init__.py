# SPDX-License-Identifier: Apache-2.0
"""Off-policy methods: which agent learns, and its run."""
