"""Clients that live in a session: training and sampling under the names that users of the official SDK know.

A `TinkerClient` opens one session when the first of them is made, keeps it alive, and finishes it when it is left.
"""
