"""Hits over HTTP: a page to search on, and the same for programs.

=====================  ==================================================================================
Put together           :mod:`~vidsift.service.app`: the application. :mod:`~vidsift.service.server`: a socket,
                       uvicorn, Ctrl-C. :mod:`~vidsift.service.service`: what the routes share.
Who may ask, how much  :mod:`~vidsift.service.connections` (before a request has come),
                       :mod:`~vidsift.service.security`, :mod:`~vidsift.service.wrong_tokens`,
                       :mod:`~vidsift.service.limits`.
Routes                 :mod:`~vidsift.service.search_routes`, :mod:`~vidsift.service.library_routes`,
                       :mod:`~vidsift.service.media_routes`, :mod:`~vidsift.service.export_routes`,
                       :mod:`~vidsift.service.job_routes`, :mod:`~vidsift.service.folder_routes`,
                       :mod:`~vidsift.service.monitoring` (health, Prometheus), :mod:`~vidsift.service.pages`
                       (``page/`` and ``/docs``).
In and out             :mod:`~vidsift.service.schemas` (questions and hits),
                       :mod:`~vidsift.service.schemas_library` (videos, index, jobs),
                       :mod:`~vidsift.service.problems` (errors), :mod:`~vidsift.service.transfer` (files),
                       :mod:`~vidsift.service.compression`, :mod:`~vidsift.service.head_requests`.
Questions              :mod:`~vidsift.service.live_index`: the newest version of the index.
                       :mod:`~vidsift.service.engine`: the thread that asks the model.
                       :mod:`~vidsift.service.answering`: what it does.
Files of videos        :mod:`~vidsift.service.media`: what is done with them, in the limited processes of
                       :mod:`~vidsift.workers.async_sandbox`.
Folders to add         :mod:`~vidsift.service.folder_choice`.
Index jobs             :mod:`~vidsift.service.jobs`: the queue. :mod:`~vidsift.service.job_process`: the work.
For assistants         :mod:`~vidsift.service.mcp_server`: the Model Context Protocol.
For Python             :mod:`~vidsift.service.client`.
=====================  ==================================================================================

A search takes this way: ``security`` and ``limits`` let it in; ``search_routes`` reads its body;
in ``engine`` it waits its turn, and is answered together with others of the same settings; ``answering``
searches one version of the index, which ``live_index`` holds, and writes the hits down as ``schemas`` says.
"""
