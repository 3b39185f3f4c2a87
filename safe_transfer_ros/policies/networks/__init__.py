# SPDX-License-Identifier: Apache-2.0
"""Networks that learn, in torch: actors whose parameters are those of our policy files, and critics side by side."""
