"""What an operator of this kind needs and kopf lacks; it knows nothing of Tinker.

Watch events and listings become a `Store`; its changes wake keys in a `WorkQueue`; a bounded set of workers hands each
key to one `reconcile` function; a `Lease` decides which replica does so. kopf is the source of the events and nothing
more: it runs no handler that writes, and one module alone imports it.

```
 kopf_source --upsert/remove--> store --wakes--> workqueue --workers--> reconcile(key)
 (supervisor restarts it)         ^                                       |
 resync: LIST every five minutes -+-------- own PATCH responses <---------+   all of it only while the lease is held
```

Import from the modules; nothing is re-exported here, so that using the API client does not load kopf.
"""
