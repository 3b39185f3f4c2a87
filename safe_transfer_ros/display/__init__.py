# SPDX-License-Identifier: Apache-2.0
"""Display: what the safety stack knows, as shapes in space. Nothing here is heard by anything that moves an arm."""
