# SPDX-License-Identifier: Apache-2.0
"""One thread inside, everything as before outside, also after an error."""

import pytest
import torch

from safe_transfer_ros.algorithms.single_thread import single_thread


def test_threads_and_gradients_are_restored() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with pytest.raises(KeyError), single_thread():
            assert torch.get_num_threads() == 1 and not torch.is_grad_enabled()
            raise KeyError
        assert torch.get_num_threads() == 2 and torch.is_grad_enabled()
    finally:
        torch.set_num_threads(before)
