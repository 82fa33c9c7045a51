"""What the training makes small: weighted cross entropy and one minus the soft Dice of the classes that are there."""

from __future__ import annotations

import torch
from torch.nn import functional


def loss_of(
    logits: torch.Tensor, labels: torch.Tensor, weight: torch.Tensor, class_weights: torch.Tensor
) -> torch.Tensor:
    """A number from logits [b, class, ...], labels [b, ...] and how much each voxel counts [b, ...].

    Dice is taken over the whole batch; a class without a voxel in it is left out.
    """
    logs = functional.log_softmax(logits, dim=1)
    each = weight * class_weights[labels]
    chosen = logs.gather(1, labels[:, None])[:, 0]
    entropy = -(each * chosen).sum() / each.sum().clamp(min=1)
    classes = logits.shape[1]
    answer = (logs.exp() * weight[:, None]).transpose(0, 1).reshape(classes, -1).sum(1)
    truth = torch.zeros(classes, device=logits.device).index_add_(0, labels.flatten(), weight.flatten())
    both = torch.zeros(classes, device=logits.device).index_add(0, labels.flatten(), (weight * chosen.exp()).flatten())
    dice = (2 * both + 1) / (answer + truth + 1)
    present = truth > 0
    return entropy + 1 - dice[present].mean() if present.any() else entropy
