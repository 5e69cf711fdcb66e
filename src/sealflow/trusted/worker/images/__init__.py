"""Images in a worker: from JPEG and PNG files to the values that a model takes.

Its words: image file, work, reduction, resampling. May import `package`, `openinfer` and the core.
"""
