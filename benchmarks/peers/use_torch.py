"""The exact matrix by ``torch.func``, as one would write it without a package."""

import torch
from tasks import Problem, cross_entropy, mixture_measure
from torch import Tensor
from torch.func import functional_call, hessian, jacrev


def with_torch(problem: Problem) -> Tensor:
    model = problem.fresh()
    named = dict(model.named_parameters())
    theta = torch.cat([p.detach().reshape(-1) for p in named.values()])

    def outputs(theta: Tensor, x: Tensor) -> Tensor:
        parts = torch.split(theta, [p.numel() for p in named.values()])
        state = {name: part.view(p.shape) for (name, p), part in zip(named.items(), parts, strict=True)}
        return functional_call(model, state, (x,))

    losses = lambda theta: cross_entropy(outputs(theta, problem.x), problem.y)  # noqa: E731
    curvature = hessian(lambda theta: losses(theta).mean())(theta) + problem.decay * torch.eye(len(theta))
    slopes = jacrev(lambda theta: mixture_measure(outputs(theta, problem.queries), problem.targets))(theta)
    return slopes @ torch.linalg.solve(curvature, jacrev(losses)(theta).T)


SETTINGS = {"mixture": {"torch.func": with_torch}}
