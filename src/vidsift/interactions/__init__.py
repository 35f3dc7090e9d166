"""Tokens x tokens -> similarity: prepare one side, score all pairs, align matched pairs.

The room, file by file. What all are made of:

    base                  what every interaction is
    masked                maxima, means and softmax over real tokens: the only place where masks meet maths
    batches               batches of token sets put together
    channel_parts         several tensors for each token, side by side: keys and values
    quantised             products of tokens in the number format that they are kept in
    product_checks        whether a way to multiply is right on this processor

The best match of every word and every frame, on which the token-wise ones stand:

    matches               best matches as values, and the alignment that follows from them
    best_match            those of a whole batch, in plain PyTorch
    fused_match           the same and their gradients by kernels, on a GPU
    pooled_match          scores made of them that can be trained without keeping all products

The interactions:

    dot                   sentence and mean frame: CLIP, CLIP4Clip, DRL DP
    hierarchical          the same at several depths of the towers: DRL HI
    token_wise            every word its best frame and back, alike or weighted: DRL TI and WTI, Video-ColBERT
    sharpened             the best matches weigh themselves: PIDRo
    prototype             every object its best phrase in its best frame: ProST
    similarity_attention  attention over the similarity matrix: X-CLIP
    frame_softmax         frames weighted by how well they fit the sentence: TS2-Net
    attention_pooling     frames pooled anew for each sentence: X-Pool
    centre_alignment      tokens gathered around centres that both sides share: CLIP2Video
    mlp, cross            black boxes: a perceptron, a transformer over the pair
"""
