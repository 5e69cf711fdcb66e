"""The Open Inference Protocol (KServe V2): tensors and messages, as JSON and in binary form.

Its words: tensor, datatype, TensorSpec. May import `wire` and `errors`; numpy is imported in
`ndarray` alone.
"""
