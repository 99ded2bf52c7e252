"""The live side: the only place with network, secrets, a wall clock and asyncio. Nothing in it sends an order."""
