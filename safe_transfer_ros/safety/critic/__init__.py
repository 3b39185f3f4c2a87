# SPDX-License-Identifier: Apache-2.0
"""How a safety critic may choose among proposals."""
