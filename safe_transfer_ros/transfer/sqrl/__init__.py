# SPDX-License-Identifier: Apache-2.0
"""SQRL: a policy and a safety critic are pre-trained together, then the policy is fine-tuned behind the critic."""
