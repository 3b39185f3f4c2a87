# SPDX-License-Identifier: Apache-2.0
"""What every learning method shares: rollouts, advantages, imitation, workers."""
