"""Videos -> files on disk: an index that is built in runs, looked after, and read by the search.

The files, first what works on an index, then what it is made of:

    build.py                 a run: find, decode, encode, commit        build_index, update_index
      plan.py                what a run has to do: what is new, changed, gone, or to be read once more
      availability.py        is a file gone, or only out of reach, as on a drive that is not plugged in
      folders.py             which folders an index was asked to hold
      compatibility.py       which models an index takes
      decode_worker.py       a file to the pictures of its segments, in worker processes without torch
      encode.py              pictures to rows: the part that needs the model
    watch.py                 runs, again and again while folders change        watch_index
    maintenance.py           paths out, captions in, pieces merged             remove_paths, import_captions
    check.py                 every row against its file, its model and itself  check_index

    storage.py               the store: all that is read or written goes through it  Store
      tables.py              its tables; LanceDB is spoken here alone
      versions.py            one version read, new ones noticed
      schema.py              their columns, and token sets to columns and back
      tags_and_captions.py   what is said of videos beside what they show
      manifest.py            where an index is, and index.json: what it was made with
      writing.py             one writer at a time, whole files, a failing disk in words
    saved_searches.py        questions under a name                   SavedSearches
    moment_collections.py    moments put together by hand             MomentCollections
      saved_file.py          the two files that hold what people saved
    library.py               lists and look-ups of what lies in an index       Library, describe
"""
