"""The HTTP routes, one class per part of the service; each turns a request into records and answers in wire form."""
