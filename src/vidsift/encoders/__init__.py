"""Frames and words become tokens with masks: the CLIP towers, the tokenizer, heads across frames, weights.

The room, file by file:

    clip                  the two towers, giving every token in the shared space
    tokenizer             words to ids, as CLIP cut and cleaned them
    pixels                pictures to the numbers a tower was trained on
    temporal              heads across the frames of a video: LSTM, transformer
    token_shift           tokens that change places between frames before attention: TS2-Net
    selection             the best k of some tokens, learned through noise or hard
    feature_cache         frozen towers that remember what they made of a set of clips
    text_cache            what a frozen text tower made of a set of texts
    tower_digest          which weights results that are kept belong to
    device                where a model computes, and in which number type it is right there
    weights               find, load and save checkpoints
    openai_weights        OpenAI's files and names
    state_dict            weights by name: finite, and those of the module exactly
    init, mask_checks     first weights; what is required of a mask

Import what you need from its module: torch is loaded by these, not by this page.
"""
