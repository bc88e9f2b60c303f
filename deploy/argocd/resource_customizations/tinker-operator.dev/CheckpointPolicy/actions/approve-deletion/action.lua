-- From the plan that status shows to its execution; the floor, the grace and the hourly limit hold as before.
obj.spec.retention.action = "Delete"
return obj
