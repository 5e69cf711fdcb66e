"""Models in memory: loading, runtimes, inputs from tensors and images, classes of outputs.

Its words: model, runtime, input, class. May import the core; each runtime and image library is
imported in one file.
"""
