"""Renders Helm charts with Helm's own engine, without a Helm."""
