"""Protobuf messages of the Tinker wire, shared by the client and by the simulator.

`tinker_public.proto` is written by hand; `tinker_public_pb2.py` and its stub are generated from it by
`python -m tinker_operator.tinker.proto.generate`.
"""
