"""What training and sampling are fed with and what they give: typed frozen values, and their form on the wire.

Numbers are kept as the bytes that travel; nothing here needs an array library, and any array that has a `tolist` goes
in where a list does.
"""
