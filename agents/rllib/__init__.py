"""The learner of `agents.ppo` on RLlib's new API stack: docs/rllib.md."""
