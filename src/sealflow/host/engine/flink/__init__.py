"""The engine as a job on Apache Flink: settings, REST interface, submission, the function.

Its words: job, subtask, TaskManager. Only `job` imports `pyflink`. May import `host.engine`
and what that may.
"""
