# SPDX-License-Identifier: Apache-2.0
"""Parts shared by all learning methods: rollouts, replay buffer, evaluation, advantages, imitation, workers."""
