"""Every candidate algorithm on every instruction set: forced by name, it agrees with the reference or says why not.

Configurations are drawn where candidates fit (3 x 3 taps, enough channels): general strategies seldom do.
"""
