# SPDX-License-Identifier: Apache-2.0
"""Point and car that reach goals among traps (CSC)."""
