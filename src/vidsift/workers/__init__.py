"""Processes with limits, for whatever reads other people's files; nothing here knows what is read.

The room, file by file:

    process         one process with a pipe, a memory limit and an end: crashed, silent, too much memory
    memory          how a process limits its own memory
    plain_values    what a process answers, as plain bytes of which nothing is run
    sandbox         single calls in warm processes: a function's result, or what it raised
    async_sandbox   the same without holding up an event loop
    pool            many tasks side by side, each answered with a stream of messages

Nothing here imports torch, and what runs in the processes should not either: it costs seconds and memory in
each.
"""
