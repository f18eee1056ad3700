"""ONNX Runtime sessions: from the bytes of a model to numbers, on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def open_session(model: bytes, *, threads: int) -> InferenceSession:
    """A session of an ONNX file on the CPU, with so many threads inside an operator."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that wait for work by spinning slow down whatever decodes images beside them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run(session: InferenceSession, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    """The only output for the only input, of any batch size."""
    (output,) = session.run(None, {session.get_inputs()[0].name: batch})
    return np.asarray(output)
