"""The rival: LFADS in PyTorch as its users run it, eager, cells stepped in a Python loop.

The same mathematics as ours, in single precision. What was tried to make it fast is in docs/speed.md: input products
of the encoders and the context's product are taken once for all steps (the product per step was slower), each
recurrent product carries its bias (`addmm`), the optimiser is fused.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from myodrive.evaluation.speed_bench.serve import serve
from myodrive.evaluation.speed_bench.work import (
    BATCH,
    MEMBER_EPOCHS,
    MEMBER_STEPS,
    MODELS,
    N_DRAWS,
    N_MUSCLE,
    N_TIME,
    Model,
    make_trials,
)

CLIP = 5.0


class Cell(torch.nn.Module):
    """A GRU with the reset gate after the recurrent product, as ours."""

    def __init__(self, n_input: int, n_state: int) -> None:
        super().__init__()
        scale = 1 / math.sqrt(n_input + n_state)
        self.w_input = torch.nn.Parameter(scale * torch.randn(n_input, 3 * n_state))
        self.w_state = torch.nn.Parameter(scale * torch.randn(n_state, 3 * n_state))
        self.bias = torch.nn.Parameter(torch.cat([torch.ones(2 * n_state), torch.zeros(n_state)]))
        self.bias_state = torch.nn.Parameter(torch.zeros(3 * n_state))
        self.n = n_state

    def of_input(self, x: torch.Tensor) -> torch.Tensor:
        return torch.addmm(self.bias, x.reshape(-1, x.shape[-1]), self.w_input).view(*x.shape[:-1], 3 * self.n)

    def step(self, given: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        held = torch.addmm(self.bias_state, state, self.w_state)
        n = self.n
        gates = torch.sigmoid(given[:, : 2 * n] + held[:, : 2 * n])
        reset, keep = gates[:, :n], gates[:, n:]
        new = torch.tanh(torch.addcmul(given[:, 2 * n :], reset, held[:, 2 * n :]))
        return torch.lerp(new, state, keep).clamp(-CLIP, CLIP)


class LFADS(torch.nn.Module):
    """Encoders, controller, generator and read-outs."""

    def __init__(self, m: Model) -> None:
        super().__init__()
        self.encoders = torch.nn.ModuleList(Cell(3 * N_MUSCLE, m.encoder) for _ in range(4))
        self.to_initial = torch.nn.Linear(2 * m.encoder, 2 * m.n_initial)
        self.to_generator = torch.nn.Linear(m.n_initial, m.generator)
        self.controller = Cell(2 * m.encoder + m.n_factor, m.controller)
        self.controller_start = torch.nn.Parameter(torch.zeros(m.controller))
        self.to_input = torch.nn.Linear(m.controller, 2 * m.n_input)
        self.generator = Cell(m.n_input, m.generator)
        self.to_factor = torch.nn.Parameter(torch.randn(m.generator, m.n_factor) / math.sqrt(m.generator))
        self.to_log_shape = torch.nn.Linear(m.n_factor, N_MUSCLE)
        self.to_log_rate = torch.nn.Linear(m.n_factor, N_MUSCLE)
        self.prior_mean = torch.nn.Parameter(torch.zeros(m.n_initial))
        self.prior_log_tau = torch.nn.Parameter(torch.full((m.n_input,), math.log(10.0)))
        self.prior_log_noise = torch.nn.Parameter(torch.full((m.n_input,), math.log(0.1)))
        self.m = m

    def encode(self, x: torch.Tensor, rate: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Mean and variance of the initial condition, and what the controller hears of the data."""
        runs = [_run(cell, x, backwards=i % 2 == 1) for i, cell in enumerate(self.encoders)]
        summary = torch.cat([runs[0][-1], runs[1][0]], 1)
        mean, log_variance = self.to_initial(_dropped(summary, rate)).chunk(2, 1)
        nothing = torch.zeros_like(runs[2][:1])
        context = torch.cat([torch.cat([nothing, runs[2][:-1]]), torch.cat([runs[3][1:], nothing])], 2)
        return mean, log_variance.exp() + 1e-4, context * _dropped(torch.ones_like(context[0]), rate)

    def decode(
        self, mean: torch.Tensor, variance: torch.Tensor, context: torch.Tensor, rate: float
    ) -> tuple[torch.Tensor, ...]:
        n_context, n_batch = context.shape[-1], len(mean)
        generator = self.to_generator(mean + variance.sqrt() * torch.randn_like(mean))
        controller = self.controller_start.expand(n_batch, -1)
        to_factor = self.to_factor / self.to_factor.norm(dim=0, keepdim=True)
        kept = _dropped(torch.ones_like(generator), rate)
        cell, noise = self.controller, torch.randn(len(context), n_batch, self.m.n_input)
        heard = torch.addmm(cell.bias, context.reshape(-1, n_context), cell.w_input[:n_context])
        heard_at = heard.view(len(context), n_batch, -1).unbind(0)
        w_factor = cell.w_input[n_context:]
        factor = (generator * kept) @ to_factor
        kept_steps: list[tuple[torch.Tensor, ...]] = []
        for t, random in enumerate(noise.unbind(0)):
            controller = cell.step(torch.addmm(heard_at[t], factor, w_factor), controller)
            input_mean, log_variance = self.to_input(controller).chunk(2, 1)
            u = torch.addcmul(input_mean, torch.exp(0.5 * log_variance), random)
            generator = self.generator.step(self.generator.of_input(u), generator)
            factor = (generator * kept) @ to_factor
            kept_steps.append((factor, input_mean, log_variance, u))
        together, means, log_variances, inputs = (torch.stack(values) for values in zip(*kept_steps))
        shape, rate_ = _bounded(self.to_log_shape(together), -2.5, 6.0), _bounded(self.to_log_rate(together), -4.0, 8.5)
        return shape, rate_, means, log_variances, inputs

    def loss(self, emg: torch.Tensor, x: torch.Tensor, hidden: torch.Tensor, dropout: float) -> torch.Tensor:
        seen = (~hidden).float()
        tokens = torch.cat([x * torch.cat([seen, seen], 2), seen], 2)
        mean, variance, context = self.encode(tokens, dropout)
        log_shape, log_rate, input_mean, log_variance, inputs = self.decode(mean, variance, context, dropout)
        shape, rate = log_shape.exp(), log_rate.exp()
        # Without the series for samples below the floor, which ours pays for.
        likelihood = shape * log_rate - torch.lgamma(shape) + (shape - 1) * emg.log() - rate * emg
        counts = hidden.float()
        ratio = variance / 0.1
        kl_initial = 0.5 * (ratio + (mean - self.prior_mean) ** 2 / 0.1 - 1 - ratio.log()).sum(1).mean()
        phi, noise = torch.exp(-torch.exp(-self.prior_log_tau)), self.prior_log_noise.exp()
        before = torch.cat([torch.zeros_like(inputs[:1]), phi * inputs[:-1]])
        spread = log_variance.exp() / noise
        kl_input = 0.5 * (spread + (input_mean - before) ** 2 / noise - 1 - spread.log()).sum((0, 2)).mean()
        l2 = (self.generator.w_state**2).mean() + (self.controller.w_state**2).mean()
        return -(likelihood * counts).sum() / counts.sum().clamp(min=1) + 1e-6 * (kl_initial + kl_input + 0.5 * l2)


def _run(cell: Cell, x: torch.Tensor, backwards: bool) -> torch.Tensor:
    given = cell.of_input(x).unbind(0)
    state = x.new_zeros(x.shape[1], cell.n)
    states: list[Any] = [None] * len(given)
    for t in reversed(range(len(given))) if backwards else range(len(given)):
        state = cell.step(given[t], state)
        states[t] = state
    return torch.stack(states)


def _dropped(x: torch.Tensor, rate: float) -> torch.Tensor:
    return torch.nn.functional.dropout(x, rate, training=rate > 0)


def _bounded(x: torch.Tensor, low: float, high: float) -> torch.Tensor:
    centre, half = (low + high) / 2, (high - low) / 2
    return centre + half * torch.tanh((x - centre) / half)


def work(model: str, n_threads: int) -> dict[str, Callable[[int], None]]:
    """What can be asked for, by name: steps, epochs, posterior means, and member-steps of networks one after the other."""
    torch.set_num_threads(n_threads)
    torch.manual_seed(0)

    def begin() -> tuple[LFADS, torch.optim.Optimizer]:
        net = LFADS(MODELS[model])
        return net, torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.0, fused=True)

    net, optimiser = begin()
    (emg, x), (emg_valid, x_valid) = (_as_tensors(a) for a in make_trials())

    def step(index: torch.Tensor) -> None:
        optimiser.zero_grad(set_to_none=True)
        hidden = torch.rand(N_TIME, len(index), N_MUSCLE) < 0.5
        net.loss(emg[:, index], x[:, index], hidden, 0.05).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 200.0, foreach=True)
        optimiser.step()

    def steps(n: int) -> None:
        for _ in range(n):
            step(torch.randint(emg.shape[1], (BATCH,)))

    def epochs(n: int) -> None:
        for _ in range(n):
            for index in torch.randperm(emg.shape[1]).split(BATCH):
                step(index)
            with torch.no_grad():
                hidden = torch.rand(emg_valid.shape) < 0.25
                net.loss(emg_valid, x_valid, hidden, 0.0).item()

    def posterior(n: int) -> None:
        with torch.no_grad():
            tokens = torch.cat([x_valid, torch.ones_like(emg_valid)], 2)
            for _ in range(n):
                code = net.encode(tokens, 0.0)
                total = torch.zeros_like(emg_valid)
                for _ in range(N_DRAWS):
                    shape, rate, *_ = net.decode(*code, 0.0)
                    total += torch.exp(shape - rate)

    def search(n: int) -> None:
        nonlocal net, optimiser
        for _ in range(n // MEMBER_STEPS):
            net, optimiser = begin()
            epochs(MEMBER_EPOCHS)

    return {"steps": steps, "epochs": epochs, "posterior": posterior, "search": search}


def _as_tensors(trials: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    emg = torch.from_numpy(np.ascontiguousarray(trials.transpose(1, 0, 2))).clamp(min=1e-3)
    return emg, torch.cat([emg.log(), emg.sqrt()], 2)


if __name__ == "__main__":
    serve(work(sys.argv[1], int(sys.argv[2])))
