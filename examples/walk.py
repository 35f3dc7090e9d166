"""The whole flow, top to bottom, on a CPU in under a minute: follow a frame and a sentence to a hit.

Run it with: python examples/walk.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import vidsift
from vidsift.data.folder import read_folder
from vidsift.evaluation.evaluate import evaluate_entries
from vidsift.shapes.library import write_library
from vidsift.video.footage import read_footage


def main() -> None:
    """Walk through the house."""
    with tempfile.TemporaryDirectory() as place:
        walk(Path(place))


def walk(place: Path) -> None:
    """Render a library in ``place`` and take it through every room."""
    library = place / "library"
    clips = write_library(library, "test", videos=32, seed=1, workers=1)
    clip = clips[0]
    path, sentence = library / clip.name, clip.captions[0]
    print(f'A video, {path.name}, and a sentence: "{sentence}"\n')

    # video/: file -> frames with times
    model = vidsift.load("shapes")
    frames = read_footage(path, model.preprocessing)
    print(f"video         {frames}")

    # encoders/ and interactions/: frames and words -> prepared token sets
    text = model.encode_text([sentence])
    video = model.encode_frames([frames.pixels], [frames.times_seconds])
    for name, tokens in {**text, **video}.items():
        print(f"{name:13} {tokens}")

    # interactions/ and methods/: token sets -> similarity, and which word met which frame
    score = model.similarity(text, video)
    print(f"similarity    {float(score):.3f} by {[term.name for term in model.method.terms]}")
    account = model.method.align(text, video)["word-frame"]
    pieces = model.tokenize([sentence]).pieces[0]
    for piece, best, counts in zip(pieces, account.best_video_token[0], text["word"].mask[0], strict=True):
        if counts:  # start and end of text are no words of this model
            print(f"alignment     {piece!r} met the frame at {float(frames.times_seconds[best]):.2f} s")
    print(f"              contributions sum to {float(account.contributions.sum()):.3f}")

    # evaluation/: similarity + truth -> numbers
    report = evaluate_entries(model, read_folder(library), split="test", workers=0)
    print(f"evaluation    text to video R@1 {report['text_to_video']['R@1']:.1f} % of {len(clips)} videos")

    # index/ and search/: videos -> files on disk, question -> hits
    vidsift.build_index([library], place / "index", model)
    for hit in vidsift.Index.open(place / "index", model).search(sentence, k=3):
        start, end = hit.moment
        where = f"{Path(hit.path).name} {start:.1f}-{end:.1f} s"
        print(f"search        {hit.rank}. {hit.score:.3f} {where} ({hit.match})")


if __name__ == "__main__":
    main()
