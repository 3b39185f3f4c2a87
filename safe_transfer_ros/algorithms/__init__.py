# SPDX-License-Identifier: Apache-2.0
"""One update per file, each a pure function of (parameters, batch, settings, seed)."""
