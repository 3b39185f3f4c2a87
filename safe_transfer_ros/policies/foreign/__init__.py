# SPDX-License-Identifier: Apache-2.0
"""Policies of others: their files read as data, nothing in them unpickled or executed, into tensors of ours."""
