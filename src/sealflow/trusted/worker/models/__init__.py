"""Models in memory: packages, runtimes, inputs from tensors and images, top classes of outputs.

Its words: model, runtime, input, top class. May import the core; each runtime and the image library
is imported in one file only.
"""
