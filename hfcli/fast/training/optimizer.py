"""AdamW on a CPU without passes over numbers that do not change.

Few rows of a word embedding occur in a batch, yet its gradient is as large as it is: zeros that are
written, added up, clipped and averaged. Here the gradient holds the rows that occurred (torch calls
it sparse), and rows that never did are left out of the step: their moments are zero, and without
weight decay so is their change. Clipping is a division within the step. The state is AdamW's own.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module
    from torch.optim import Optimizer

OPTIMIZER = "optimizer"  # what switches it off in `training.plain`
MOST_SEEN = 1 / 3  # of the rows; beyond it, collecting them takes longer than it saves
SMALLEST = 16 * 2**20  # bytes of an embedding; below it, there is nothing to save


def quicken(optimizer: Optimizer, model: Module) -> bool:
    """Make a fused AdamW one that reads and writes less, for good.

    Args:
        optimizer: anything else is left as it is.
        model: whose parameters it has, on a CPU; its word embedding gets gradients by rows.

    Returns:
        Whether it could be done.
    """
    import torch

    if type(optimizer) is not torch.optim.AdamW or not optimizer.defaults["fused"]:
        return False
    if any(group["amsgrad"] or group["maximize"] for group in optimizer.param_groups):
        return False
    optimizer.__class__ = _adamw_class()
    for embedding in _word_embeddings(model):
        embedding.sparse = True
    return True


def scale_gradients(optimizer: Any, gradients: list[Tensor], share: Tensor) -> None:
    """Multiply gradients by `share`, in the next step where the optimizer can."""
    import torch

    quick = getattr(optimizer, "optimizer", optimizer)  # accelerate has put one around it
    if isinstance(quick, _adamw_class()):
        quick.grad_scale = 1 / share
    else:
        torch._foreach_mul_(gradients, share)


def make_state(optimizer: Any) -> None:
    """The moments of a new run, before memory is divided among what comes and goes in each step."""
    quick = getattr(optimizer, "optimizer", optimizer)
    if isinstance(quick, _adamw_class()) and not quick.state:
        for group in quick.param_groups:
            for parameter in group["params"]:
                quick.state[parameter].update(_new_state(parameter))


def _word_embeddings(model: Module) -> list[Any]:
    """Large embeddings whose weights no other module has."""
    import torch

    owners: dict[int, int] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            owners[id(parameter)] = owners.get(id(parameter), 0) + 1
    return [
        module
        for module in model.modules()
        if type(module) is torch.nn.Embedding
        and module.weight.requires_grad
        and module.weight.nbytes >= SMALLEST
        and owners[id(module.weight)] == 1
        and module.max_norm is None
    ]


def _new_state(parameter: Tensor) -> dict[str, Tensor]:
    """As torch's Adam begins."""
    import torch

    return {
        "step": torch.zeros((), dtype=torch.float32),
        "exp_avg": torch.zeros_like(parameter),
        "exp_avg_sq": torch.zeros_like(parameter),
    }


@functools.cache
def _adamw_class() -> Any:
    """The optimizer's class, made once, since it must subclass a torch class."""
    import torch

    class QuickAdamW(torch.optim.AdamW):
        grad_scale: Tensor | None = None  # torch divides by it

        def step(self, closure: Any = None) -> Any:
            by_rows = [
                (group, parameter, parameter.grad)
                for group in self.param_groups
                for parameter in group["params"]
                if parameter.grad is not None and parameter.grad.is_sparse
            ]
            for group, parameter, gradient in by_rows:
                parameter.grad = self._step_of_rows(group, parameter, gradient.coalesce())
            loss = super().step(closure)
            self.grad_scale = None
            return loss

        @torch.no_grad()
        def _step_of_rows(self, group: Any, parameter: Any, gradient: Tensor) -> Tensor | None:
            """Change the rows that have been seen; or return the whole gradient, for all."""
            state = self.state[parameter]
            if not state:
                state.update(_new_state(parameter))
            rows, values = gradient.indices()[0], gradient.values()
            seen = self._seen(state)
            seen[rows[(values != 0).any(1)]] = True  # of padding, it is zero
            active = seen.nonzero()[:, 0]
            if group["weight_decay"] or len(active) > MOST_SEEN * len(parameter):
                return gradient.to_dense()
            occurred = seen[rows]
            collected = torch.zeros(len(active), parameter.shape[1], dtype=parameter.dtype)
            collected[torch.searchsorted(active, rows[occurred])] = values[occurred]
            whole = (parameter, state["exp_avg"], state["exp_avg_sq"])
            changed, average, square = (each[active] for each in whole)
            beta1, beta2 = group["betas"]
            state["step"] += 1
            torch._fused_adamw_(
                [changed], [collected], [average], [square], [], [state["step"]],
                grad_scale=self.grad_scale, amsgrad=False, maximize=False,
                beta1=beta1, beta2=beta2, lr=group["lr"], weight_decay=0.0, eps=group["eps"],
            )  # fmt: skip
            for each, part in zip(whole, (changed, average, square), strict=True):
                each[active] = part
            return None

        def _seen(self, state: Any) -> Tensor:
            """Which rows have moments; read from them once, at the start or after a resume."""
            known: dict[int, Any] = self.__dict__.setdefault("_known", {})
            square = state["exp_avg_sq"]
            if known.get(id(state), (None,))[0] is not square:
                found = (square != 0).any(1) | (state["exp_avg"] != 0).any(1)
                known[id(state)] = (square, found)
            mask: Tensor = known[id(state)][1]
            return mask

    return QuickAdamW
