"""The learning side: an SB3 adapter, PPO, run folders and policies. Learns any environment, ours or not."""
