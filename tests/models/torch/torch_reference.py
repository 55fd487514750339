"""The slow, plain reference: any module trained in a Python loop with autograd through all of it.

Nothing here is shared with the package: update rules are written from their papers.
"""

import torch
from torch.func import functional_call


def sgd(parameters, grads, memory, t, *, lr=0.1, momentum=0.0):
    if not memory:
        memory.update({name: torch.zeros_like(p) for name, p in parameters.items()})
    for name, g in grads.items():
        memory[name] = momentum * memory[name] + g
    return {name: p - lr * memory[name] for name, p in parameters.items()}


def adamw(parameters, grads, memory, t, *, lr=0.02, betas=(0.9, 0.99), eps=1e-2, decay=0.1):
    after = {}
    for name, p in parameters.items():
        m, v = memory.get(name, (torch.zeros_like(p), torch.zeros_like(p)))
        m = betas[0] * m + (1 - betas[0]) * grads[name]
        v = betas[1] * v + (1 - betas[1]) * grads[name] ** 2
        memory[name] = m, v
        hat = v / (1 - betas[1] ** (t + 1))
        root = torch.where(hat > 0, torch.where(hat > 0, hat, torch.ones_like(hat)).sqrt(), torch.zeros_like(hat))
        after[name] = p * (1 - lr * decay) - lr * m / (1 - betas[0] ** (t + 1)) / (root + eps)
    return after


def trained(module, call, sample_loss, n, w, *, steps, batches=None, rule=sgd, penalty=None, frozen=None, seed=None):
    """Parameters by name after training; ``call(run, rows)`` gives the outputs of rows, ``run(x)`` the module's."""
    parameters = {name: p.detach().clone().requires_grad_() for name, p in module.named_parameters() if p.requires_grad}
    memory = {}
    for t in range(steps):
        rows = torch.arange(n) if batches is None else torch.as_tensor(batches[t])
        target = None if frozen is None else frozen(at(module, parameters), w)
        inner = {name: p.clone() for name, p in parameters.items()}  # P is not a function of these
        if seed is not None:
            torch.manual_seed(seed + t)
        losses = sample_loss(call(at(module, inner), rows), rows, *([] if target is None else [target[rows]]))
        loss = (w[rows] * losses).sum() / len(rows)
        if penalty is not None:
            loss = loss + penalty(inner)
        grads = torch.autograd.grad(loss, list(inner.values()), create_graph=True, materialize_grads=True)
        parameters = rule(parameters, dict(zip(inner, grads, strict=True)), memory, t)
    return parameters


def at(module, parameters):
    """The module as a function of its inputs, at these parameters."""
    return lambda *inputs: functional_call(module, parameters, inputs)
