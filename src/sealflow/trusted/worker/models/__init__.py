"""Models in memory: packages, runtimes, inputs from tensors and images, top classes of outputs.

Its words: model, runtime, input, top class. May import `worker.images` and the core; each runtime
is imported in one file only.
"""
