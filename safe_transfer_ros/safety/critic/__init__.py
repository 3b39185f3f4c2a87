# SPDX-License-Identifier: Apache-2.0
"""Rules by which a safety critic chooses among proposals."""
