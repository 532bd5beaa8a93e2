"""One small stream of everything that comes in, ways to deliver it, and the state it ends in.

``stream`` makes it, ``world`` plays it over the real path, ``state`` says how it ended, under a
naming that is the same in every world, ``killed`` plays it in processes that die.
"""
