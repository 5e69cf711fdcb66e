"""The Open Inference Protocol (KServe V2): tensors and messages, as JSON and in binary form.

Terms: tensor, datatype, TensorSpec. May import `wire` and `errors`; only `ndarray` imports numpy.
"""
