"""A compiled update is the update that is not compiled."""

import numpy as np
import pytest
import torch
from learner_envs import ArmsEnv, MarketsEnv, PullEnv, RecallEnv, learner
from stable_baselines3.common.logger import Logger

from agents.budgets import Budget
from agents.trained import TrainedPolicy

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's own, when it compiles


@pytest.mark.compiled
@pytest.mark.parametrize(
    "env, settings",
    [
        (lambda: ArmsEnv(16), {"memory": "gru", "memory_size": 4, "n_steps": 2}),
        (lambda: PullEnv(16), {}),
        (lambda: MarketsEnv(16), {"markets": 4}),
    ],
    ids=["memory", "box", "markets"],
)
def test_a_compiled_loss_and_its_gradient_are_those_of_the_eager_one(env, settings):
    torch._dynamo.reset()
    models = []
    for wanted in (False, True):
        model = learner(env(), budgets={"cost": Budget(0.3)}, compile=wanted, **settings)
        model.set_logger(Logger(None, []))
        models.append(model)
    eager, compiled = models
    eager.learn(16 * eager.n_steps)
    eager._setup_learn(1, None)
    eager.collect_rollouts(eager.env, eager._init_callback(None), eager.rollout_buffer, eager.n_steps)
    eager.rollout_buffer.combine(torch.tensor([0.7]))
    compiled.policy.load_state_dict(eager.policy.state_dict())
    sequences = eager.network.memory is not None
    batch = next(eager.rollout_buffer.minibatches(2, sequences=sequences))
    weights = torch.tensor([0.2, 0.01, 0.5])
    found = []
    for model in models:
        model.policy.optimizer.zero_grad()  # of the update before
        loss, parts = model._loss(model.network, batch, weights)
        loss.backward()
        found.append((loss.detach(), parts, [p.grad.clone() for p in model.network.parameters()]))
    assert torch.allclose(found[0][0], found[1][0], rtol=1e-5, atol=1e-5)
    assert torch.allclose(found[0][1], found[1][1], rtol=1e-5, atol=1e-5)
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(found[0][2], found[1][2], strict=True))


@pytest.mark.compiled
def test_a_compiled_run_learns_and_is_the_same_run_twice():
    digests = []
    for _ in range(2):
        model = learner(ArmsEnv(16), compile=True, learning_rate=0.02, budgets={"cost": Budget(0.9)})
        model.set_logger(Logger(None, []))
        model.learn(16 * 8 * 5)
        digests.append([tensor.numpy().tobytes() for tensor in model.policy.state_dict().values()])
    assert digests[0] == digests[1]


@pytest.mark.compiled
def test_a_compiled_policy_acts_and_remembers_as_the_one_that_is_not():
    torch._dynamo.reset()
    learnt = learner(RecallEnv(16), memory="lstm", memory_size=4).policy
    with torch.no_grad():
        learnt.network.actor.head.weight.normal_(generator=torch.Generator().manual_seed(1))
    one, other = (
        TrainedPolicy({"run": "run", "network": learnt.spec}, learnt.state_dict(), ["a", "b"], backend=backend)
        for backend in ("torch", "compiled")
    )
    random = np.random.default_rng(2)
    for rows in (3, 3, 70):  # another number of rows begins anew
        obs = random.standard_normal((rows, 2)).astype(np.float32)
        wanted = one.outputs(obs)
        assert np.abs(wanted).max() > 0.1
        assert other.outputs(obs) == pytest.approx(wanted, abs=1e-6)
