"""Files on disk, written whole or not at all.

The room, file by file:

    whole          a file or a folder that others see as it was or as it shall be, and no half of it
    locks          one process does a thing in a folder, and its lock ends with it
    paths          paths as people write them, compared as the system compares them
    disk_errors    what a full or failing disk means, in plain words, whichever library met it
"""
