"""The Gymnasium side: observations, actions, rewards, costs and ends over batches of the simulator."""

from envs.registration import register_all

register_all()
