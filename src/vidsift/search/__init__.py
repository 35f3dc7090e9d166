"""Question -> hits.

In the order in which a question goes through:

    searcher        Index, the front: opens, answers, refreshes; one method a kind of question
    reader          one version of an index, each part read when first needed; retries where it was cleaned up
    answers         each kind of question, from its filter to the page of hits
    phrasing        a sentence without what says nothing about a video
    sums            a query read: one sentence, or several that are added and taken off
    questions       the same, encoded
    sentence_words  its words, the text tokens of each, and the sentence without one
    filters         which segments may be found, and which page of the ranked is given
    gallery         every segment in memory in the form that scans fastest, exact rows from disk
    scan            all segments in the scan's number format -> those that lead
    rescore         exact scores in one fixed shape, and the account of each
    ranking         scan and exact scores together: the best segments, exactly
    candidates      for methods too dear to scan: what their first stage leaves
    sequence        sentences in order within one video
    similar         footage as the question
    caption_ranking a video as the question, captions as the answer
    moments         what each second gave to a score, and the stretch around the best
    hits            ranked rows -> hits
    confidence      what a score is worth beside those of chance
    match_quality   the word for it: one rule, by which everything that people see goes
    calibration     measuring chance by calibration_sentences, and keeping that beside the index
    explain         which word met which frame, and where in the picture
    leaving_out     how far a score falls without each word: of every method
    explain_picture the same as a picture, with explain_maps and explain_falls, on a canvas by explain_layout
"""
