"""The k best of each row, exactly. Of equal scores the smaller product number comes first, whatever the kernel does with ties."""

from __future__ import annotations

import numpy as np
import torch


def top_k(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k best products of each row, best first.

    Args:
        scores: (n, P) float32, -inf where a product may not be shown.
        k: places; fewer come back where P is smaller.

    Returns:
        (n, min(k, P)) product numbers and their scores; a score of -inf marks a place that nothing may fill.
    """
    k = min(k, scores.shape[1])
    if k == 0:
        return np.empty((len(scores), 0), np.int64), np.empty((len(scores), 0), np.float32)
    block = torch.from_numpy(scores)
    values, products = block.topk(k, dim=1)
    worst = values[:, -1:]
    # a kernel may pick any of the products that share the last place's score; where they are more than the places left, choose again
    crowded = torch.nonzero((block >= worst).sum(1) > k)[:, 0]
    if len(crowded):
        rows, last = block[crowded], worst[crowded]
        sure = rows > last
        tied = rows == last
        chosen = sure | (tied & (tied.cumsum(1) <= k - sure.sum(1, keepdim=True)))
        products[crowded] = torch.nonzero(chosen)[:, 1].reshape(-1, k)
        values[crowded] = rows.gather(1, products[crowded])
    by_product = products.argsort(dim=1)
    products, values = products.gather(1, by_product), values.gather(1, by_product)
    by_score = values.argsort(dim=1, descending=True, stable=True)
    return products.gather(1, by_score).numpy(), values.gather(1, by_score).numpy()
